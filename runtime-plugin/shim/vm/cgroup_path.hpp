// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace kata_vfio::shim {

/// Where in the unified hierarchy linux.cgroupsPath of an OCI spec is.
struct CgroupPath {
    std::filesystem::path below; ///< the hierarchy's mount; "": nowhere
    /// systemd's: the group above `below`, a slice, is made by systemd and nobody else.
    bool of_systemd = false;
    std::string why_not; ///< for the log, when it is nowhere; "" when the spec names none
};

/// Of "/kubepods/pod1/ID", and of "slice:prefix:name" as containerd writes it where the pod's
/// parent is a slice of systemd's: there as runc has it, "kubepods-pod1.slice:cri-containerd:ID" is
/// kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope, and a missing slice system.slice.
/// Nothing with "..", and no slice that systemd.slice(5) would not take. Pure.
CgroupPath cgroup_path(const std::string& of_spec);

} // namespace kata_vfio::shim
