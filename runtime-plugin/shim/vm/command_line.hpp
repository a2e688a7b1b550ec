// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"
#include "runtime-plugin/shim/vm/qemu_user.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::shim {

/// What QEMU is started with, all decided.
struct Machine {
    std::string name; ///< -name, for people who look at processes
    std::string type; ///< pc
    std::string accelerators;
    bool kvm = true;
    std::int64_t memory_mib = 0;
    std::int64_t vcpus = 1;
    std::string cpu_features;
    std::string qemu, kernel, initrd, image, firmware, kernel_params;
    bool debug = false;            ///< the guest's console goes to console_fd
    std::filesystem::path monitor; ///< the plugin's monitor: a socket QEMU makes
    std::filesystem::path share;
    int console_fd = -1; ///< a pipe's end, for writing
    int monitor_fd = -1; ///< the shim's own monitor: a connected socket
    int agent_fd = -1;   ///< the same for the guest agent's port of virtio-serial
    // Where the agent comes by vsock instead:
    int vsock_fd = -1; ///< vhost-vsock, opened
    std::uint32_t vsock_cid = 0, vsock_port = 0;
    bool virtio_fs = false; ///< the share is served by a program of its own, with share_fd
    int share_fd = -1;      ///< the connection to it
    std::int64_t share_queue_size = 0; ///< of virtio-fs
    // Of a rootless one; its monitor's path is then below its workplace.
    std::optional<QemuUser> user;
    std::filesystem::path workplace; ///< the only directory it may write in, until it is up
};

/// Out of the configuration in force and what the pod asks for. `host_cpus` bounds the vCPUs.
/// `has_kvm`: /dev/kvm is there. Throws Failure(config_invalid) when KVM is wanted and is not: TCG
/// is what `machine_accelerators = "accel=tcg"` asks for, never chosen behind the user's back. And
/// for a shared_fs that is Kata's alone.
Machine machine_of(const config::Hypervisor& hypervisor, const oci::Size& size,
                   std::int64_t host_cpus, bool has_kvm);

/// QEMU's arguments, the program first. Pure.
std::vector<std::string> command_line(const Machine& machine);

/// RLIMIT_MEMLOCK for it, bytes: VFIO pins all of the guest's memory, each container of the
/// kernel's for itself.
std::uint64_t memlock_bytes(const Machine& machine);

} // namespace kata_vfio::shim
