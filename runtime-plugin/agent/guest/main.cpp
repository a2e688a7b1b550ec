// SPDX-License-Identifier: Apache-2.0
// The first program of a sandbox's guest.
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/agent/guest/agent.hpp"
#include "runtime-plugin/agent/guest/container.hpp"
#include "runtime-plugin/agent/guest/port.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/sysfs_read.hpp"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace kata_vfio::agent {
namespace {

void mount_at(const char* type, const char* target, unsigned long flags = 0,
              const char* data = nullptr) {
    for (std::string path = target, made; path != made;) {
        const auto slash = path.find('/', made.size() + 1);
        made = path.substr(0, slash);
        ::mkdir(made.c_str(), 0755);
    }
    must(::mount(type, target, type, flags, data), std::string("can't mount ") + target);
}

/// The first root file system can't be left by pivot_root; a bind mount of it, moved over it, can.
void leave_rootfs() {
    ::mkdir("/mnt", 0755);
    must(::mount("/", "/mnt", nullptr, MS_BIND, nullptr), "can't bind the root");
    must(::chdir("/mnt"), "/mnt");
    must(::mount(".", "/", nullptr, MS_MOVE, nullptr), "can't move the root");
    must(::chroot("."), "can't change the root");
    must(::chdir("/"), "/");
}

void loopback_up() {
    const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (fd)
        ::ioctl(fd.get(), SIOCSIFFLAGS, &request);
}

void mount_share(const Modules& modules, std::string_view command_line) {
    const auto parameters = split(command_line, ' ');
    const bool virtio_fs = std::ranges::find(parameters, share_by_virtio_fs) != parameters.end();
    if (virtio_fs) {
        modules.load("virtiofs");
    } else {
        modules.load("9pnet_virtio");
        modules.load("9p");
    }
    must(::mount(std::string(share_tag).c_str(), share_directory, virtio_fs ? "virtiofs" : "9p", 0,
                 virtio_fs ? "" : "trans=virtio,version=9p2000.L,msize=262144,cache=mmap"),
         "can't mount the share");
}

/// What containers need, and the port does not.
void set_up(const vfio::HostRoot& root, const Modules& modules, std::string_view command_line) {
    mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
    mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    loopback_up();
    // For containers without a name of their own.
    constexpr std::string_view name = "sandbox";
    ::sethostname(name.data(), name.size());
    mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
    for (const char* path : {"/run/kata-vfio", share_directory})
        ::mkdir(path, 0755);
    mount_share(modules, command_line);
    if (modules.empty())
        return;
    // Devices that were there from the start.
    for (const auto& address : vfio::names_in(root.sys("bus/pci/devices"))) {
        const auto modalias = vfio::attribute(root.sys("bus/pci/devices") / address / "modalias");
        try {
            if (modalias)
                modules.load_for_alias(*modalias);
        } catch (const SystemError& error) {
            // A container that needs it is told when it asks for its device.
            std::fprintf(stderr, "agent: %s\n", error.what());
        }
    }
}

void run_guest() {
    leave_rootfs();
    mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_at("devtmpfs", "/dev", MS_NOSUID);
    mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    utsname system{};
    ::uname(&system);
    const vfio::HostRoot root;
    Modules modules(root.lib("modules") / system.release);
    modules.load_first();
    const auto command_line = vfio::attribute(root.proc("cmdline")).value_or("");
    Agent agent(open_port(root, modules, command_line), modules);
    // It has said hello: what is still to be done here is done while its host gets on, and before
    // the first request is read.
    set_up(root, modules, command_line);
    agent.run();
}

} // namespace
} // namespace kata_vfio::agent

int main() {
    try {
        kata_vfio::agent::run_guest();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "agent: %s\n", error.what());
    }
    // Containers have no more say: what is to be kept of them is on the share.
    ::sync();
    ::reboot(RB_POWER_OFF);
    for (;;)
        ::pause();
}
