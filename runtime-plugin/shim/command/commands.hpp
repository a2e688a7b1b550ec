// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/shim/command/arguments.hpp"
#include "vfio/host_root.hpp"

#include <filesystem>

namespace kata_vfio::shim {

/// `start`, in the bundle's directory: for a container of a pod the address of the pod's shim; else
/// a shim of its own is made, a daemon, and its address printed. Nothing else reaches stdout or
/// stderr, which containerd reads together; what goes wrong is thrown.
int start(const Arguments& arguments, const vfio::HostRoot& root);

/// `delete`: containerd calls it after each container, when all went well too, and when the shim
/// has died. Ends and gives back all that is left of a sandbox (machine, devices, mounts, files);
/// for a container of a pod nothing is left to do. Prints a DeleteResponse. Idempotent.
int remove(const Arguments& arguments, const vfio::HostRoot& root);

/// The daemon's work: serves `listener` until it is shut down. Returns the exit status.
struct Serving {
    std::string containerd_namespace, sandbox_id, containerd_ttrpc, config_path;
    int listener = -1;
};
int serve(const Serving& serving, const vfio::HostRoot& root);

} // namespace kata_vfio::shim
