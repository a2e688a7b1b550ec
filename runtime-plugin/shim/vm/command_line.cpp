// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/command_line.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"

#include <algorithm>

namespace kata_vfio::shim {
namespace {

// panic=1 with -no-reboot: a guest that panics ends its QEMU. The others save boot time: of them
// pci=noearly alone two seconds of port I/O, a scan for AGP bridges, noreplace-smp some 9000 LOCK
// prefixes that a guest of one CPU takes out one by one. rcu_expedited, as Kata has it: cgroups,
// network devices and mounts wait for grace periods, which an idle guest's clock stretches to 10 ms
// and more each. drm_kms_helper: nobody looks at a frame buffer console, and a driver that drives
// one can't be unplugged at once.
constexpr std::string_view own_params =
    "panic=1 no_timer_check noreplace-smp cryptomgr.notests audit=0 pci=noearly "
    "rcupdate.rcu_expedited=1 "
    "drm_kms_helper.fbdev_emulation=0";

/// A comma in the value of a QEMU option is written twice.
std::string escaped(const std::string& value) {
    std::string out;
    for (const char c : value) {
        out.push_back(c);
        if (c == ',')
            out.push_back(c);
    }
    return out;
}

bool wants_tcg(const std::string& accelerators) {
    for (const auto option : split(accelerators, ','))
        if (trim(option) == "accel=tcg")
            return true;
    return false;
}

} // namespace

Machine machine_of(const config::Hypervisor& hypervisor, const oci::Size& size,
                   std::int64_t host_cpus, bool has_kvm) {
    Machine machine;
    machine.type = hypervisor.machine_type;
    machine.accelerators = hypervisor.machine_accelerators;
    machine.kvm = !wants_tcg(hypervisor.machine_accelerators);
    if (machine.kvm && !has_kvm)
        throw Failure(Errc::config_invalid, "this host has no KVM (/dev/kvm)")
            .remedy("load kvm_intel or kvm_amd, or have the guest's processor emulated, slowly, "
                    "with machine_accelerators = \"accel=tcg\"");
    const auto& shared = hypervisor.shared_fs;
    if (shared != "virtio-9p" && shared != "virtio-fs")
        throw Failure(Errc::config_invalid, "shared_fs = \"" + shared +
                                                "\" is Kata's: containers have their files by "
                                                "virtio-9p or virtio-fs here")
            .remedy("write one of these in [hypervisor.qemu] shared_fs");
    // A QEMU without rights can't serve files of every owner.
    machine.virtio_fs = hypervisor.rootless || shared == "virtio-fs";
    // Kata's rules for default_vcpus; what the pod asks for comes on top.
    auto vcpus = hypervisor.default_vcpus;
    if (vcpus < 0 || vcpus > host_cpus)
        vcpus = host_cpus;
    machine.vcpus = std::clamp<std::int64_t>(std::max<std::int64_t>(vcpus, 1) + size.vcpus, 1,
                                             std::max<std::int64_t>(host_cpus, 1));
    machine.memory_mib = hypervisor.default_memory + size.memory_mib;
    machine.cpu_features = hypervisor.cpu_features;
    machine.qemu = hypervisor.path;
    machine.kernel = hypervisor.kernel;
    machine.initrd = hypervisor.initrd;
    machine.image = hypervisor.image;
    machine.firmware = hypervisor.firmware;
    machine.kernel_params = hypervisor.kernel_params;
    machine.debug = hypervisor.enable_debug;
    machine.share_queue_size = hypervisor.virtio_fs_queue_size;
    return machine;
}

std::vector<std::string> command_line(const Machine& m) {
    std::vector<std::string> args{
        m.qemu,       "-name",    escaped(m.name), "-nodefaults", "-no-user-config",
        "-no-reboot", "-display", "none",          "-vga",        "none"};
    const auto add = [&](std::string option, std::string value) {
        args.push_back(std::move(option));
        args.push_back(std::move(value));
    };
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    add("-machine", m.type + (m.kvm ? ",accel=kvm" : "") +
                        (m.accelerators.empty() ? "" : "," + m.accelerators) +
                        (m.virtio_fs ? ",memory-backend=ram" : ""));
    add("-cpu", std::string(m.kvm ? "host" : "qemu64") +
                    (m.cpu_features.empty() ? "" : "," + m.cpu_features));
    add("-smp", std::to_string(m.vcpus));
    add("-m", std::to_string(m.memory_mib) + "M");
    if (m.virtio_fs) // which the file server has to reach
        add("-object",
            "memory-backend-memfd,id=ram,share=on,size=" + std::to_string(m.memory_mib) + "M");
    if (!m.firmware.empty())
        add("-bios", m.firmware);
    add("-chardev", "socket,id=runtime,fd=" + std::to_string(m.monitor_fd));
    add("-mon", "chardev=runtime,mode=control");
    add("-chardev", "socket,id=plugin,path=" + escaped(m.monitor.native()) + ",server=on,wait=off");
    add("-mon", "chardev=plugin,mode=control");
    std::string params(own_params);
    if (m.vsock_fd >= 0) {
        add("-device", "vhost-vsock-pci,guest-cid=" + std::to_string(m.vsock_cid) +
                           ",vhostfd=" + std::to_string(m.vsock_fd));
        params += " " + std::string(agent::vsock_word) + std::to_string(m.vsock_port);
    } else {
        // Port 0 is kept for a console; 31 ports, the default, take the guest a second to set up.
        add("-device", "virtio-serial-pci,max_ports=2");
        add("-chardev", "socket,id=agent,fd=" + std::to_string(m.agent_fd));
        add("-device", "virtserialport,chardev=agent,name=" + std::string(agent::port_name));
    }
    if (m.virtio_fs) {
        add("-chardev", "socket,id=share,fd=" + std::to_string(m.share_fd));
        add("-device", "vhost-user-fs-pci,chardev=share,tag=" + std::string(agent::share_tag) +
                           ",queue-size=" + std::to_string(m.share_queue_size));
        params += " " + std::string(agent::share_by_virtio_fs);
    } else {
        // remap: what is mounted in the share has inode numbers of its own.
        add("-fsdev", "local,id=share,path=" + escaped(m.share.native()) +
                          ",security_model=none,multidevs=remap");
        add("-device", "virtio-9p-pci,fsdev=share,mount_tag=" + std::string(agent::share_tag));
    }
    if (m.debug) {
        // append: QEMU truncates it otherwise, which a pipe can't be. It writes without waiting: a
        // pipe that nobody reads costs the guest its words, and not its time.
        add("-add-fd", "set=1,fd=" + std::to_string(m.console_fd));
        add("-chardev", "file,id=console,path=/dev/fdset/1,append=on");
        add("-serial", "chardev:console");
        params += " console=ttyS0";
    } else {
        params += " quiet";
    }
    add("-kernel", m.kernel);
    if (!m.initrd.empty())
        add("-initrd", m.initrd);
    if (!m.image.empty()) {
        add("-drive", "if=virtio,format=raw,readonly=on,file=" + escaped(m.image));
        params += " root=/dev/vda ro";
    }
    if (!m.kernel_params.empty())
        params += " " + m.kernel_params;
    add("-append", std::move(params));
    return args;
}

std::uint64_t memlock_bytes(const Machine& machine) {
    // Debian's QEMU adds its own: one container for type 1, and slack for BARs and rings.
    constexpr std::uint64_t mib = 1 << 20, slack = 1024 * mib;
    return static_cast<std::uint64_t>(machine.memory_mib) * mib + slack;
}

} // namespace kata_vfio::shim
