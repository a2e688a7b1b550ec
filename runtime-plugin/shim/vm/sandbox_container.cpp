// SPDX-License-Identifier: Apache-2.0
// The part of Sandbox that brings a container's files and devices to the guest.
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/mount.hpp"
#include "runtime-plugin/shim/vm/sandbox.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::seconds;
namespace {

/// For a driver to be loaded and to make its nodes; under emulation that takes seconds.
constexpr std::uint32_t device_timeout_ms = 30000;

using Clock = std::chrono::steady_clock;
std::string milliseconds_since(Clock::time_point began) {
    return std::to_string(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count());
}

bool is_bind(const oci::Mount& mount) {
    return mount.type == "bind" || std::ranges::any_of(mount.options, [](const auto& option) {
               return option == "bind" || option == "rbind";
           });
}

bool is_in_dev(const std::string& path) {
    return path == "/dev" || path.starts_with("/dev/");
}

bool is_read_only(const oci::Mount& mount) {
    return std::ranges::find(mount.options, "ro") != mount.options.end();
}

} // namespace

bool is_vfio_node(const std::string& name) noexcept {
    return name.starts_with("vfio/") && name != "vfio/vfio";
}

std::string Sandbox::host_node(const oci::Device& device) const {
    // CRI keeps the numbers alone; the path in the container may be any.
    const auto uevent = vfio::attribute(
        root_.sys("dev/char") /
        (std::to_string(device.major) + ":" + std::to_string(device.minor)) / "uevent");
    if (uevent)
        for (const auto line : split(*uevent, '\n'))
            if (line.starts_with("DEVNAME="))
                return std::string(line.substr(8));
    return device.path.starts_with("/dev/") ? device.path.substr(5) : device.path;
}

std::string Sandbox::new_place(const std::string& name, bool directory, Added& added) {
    const auto path = place_.mounts() / name;
    if (directory ? ::mkdir(path.c_str(), 0700) != 0
                  : !UniqueFd(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)))
        throw host_failure(errno, "can't make " + path.native());
    added.names.push_back(name);
    return path.native();
}

void Sandbox::add_root(const std::string& id, const oci::Spec& spec,
                       const std::filesystem::path& bundle, const std::vector<Rootfs>& rootfs,
                       Added& added, agent::ContainerSpec& container) {
    container.root = id + ".rootfs";
    const auto target = new_place(container.root, true, added);
    for (const auto& part : rootfs)
        mount_as_told(part.type, part.source, target, part.options);
    if (rootfs.empty())
        bind_mount(bundle / spec.root_path, target, false);
}

void Sandbox::add_mounts(const std::string& id, const oci::Spec& spec, Added& added,
                         agent::ContainerSpec& container) {
    for (const auto& mount : spec.mounts) {
        agent::MountSpec told;
        told.destination = mount.destination;
        told.type = mount.type;
        told.options = mount.options;
        if (!is_bind(mount)) {
            told.source = mount.source;
            container.mounts.push_back(std::move(told));
            continue;
        }
        // Shared memory is the guest kernel's business, not the share's. A pod's is the guest's
        // own.
        if (mount.destination == "/dev/shm" && spec.shares_ipc) {
            told.origin = agent::MountSpec::Origin::guest;
            told.source = "/dev/shm";
            container.mounts.push_back(std::move(told));
            continue;
        }
        if (mount.destination == "/dev/shm") { // 64 MiB, as CRI mounts it
            told.type = told.source = "tmpfs";
            told.options = {"nosuid", "nodev", "noexec", "mode=1777", "size=65536k"};
            container.mounts.push_back(std::move(told));
            continue;
        }
        // The host's /dev has no meaning in the guest: the guest's own is meant, as in Kata.
        if (is_in_dev(mount.source)) {
            told.origin = agent::MountSpec::Origin::guest;
            told.source = mount.source;
            container.mounts.push_back(std::move(told));
            continue;
        }
        struct stat info {};
        if (::stat(mount.source.c_str(), &info) != 0)
            throw host_failure(errno, "can't mount " + mount.source);
        told.origin = agent::MountSpec::Origin::share;
        told.source = id + ".mount" + std::to_string(container.mounts.size());
        const auto target = new_place(told.source, S_ISDIR(info.st_mode), added);
        bind_mount(mount.source, target, is_read_only(mount));
        container.mounts.push_back(std::move(told));
    }
}

awaitable<void> Sandbox::attach(const oci::Spec& spec, Added& added,
                                agent::ContainerSpec& container) {
    constexpr std::array<std::string_view, 6> always{"/dev/null",   "/dev/zero",    "/dev/full",
                                                     "/dev/random", "/dev/urandom", "/dev/tty"};
    for (const auto& device : spec.devices) {
        const auto node = device.type == 'c' || device.type == 'u' ? host_node(device) : "";
        if (node == "vfio/vfio")
            continue; // VFIO's own; the guest has its own, if it needs one
        if (!is_vfio_node(node)) {
            if (std::ranges::find(always, device.path) == always.end())
                container.devices.push_back(
                    {device.path, device.mode, device.uid, device.gid, spec.all_devices});
            continue;
        }
        std::string name = "/dev/" + node;
        allow_devices(); // VFIO may have been loaded since the pod began
        const auto began = Clock::now();
        const auto attached = co_await plugin_->attach(name);
        log_info("a device is attached", {{"device", name}, {"ms", milliseconds_since(began)}});
        added.devices.push_back(name);
        for (const auto& one : attached) {
            Plugin::Attached plugged = one;
            co_await await_device(std::move(plugged));
            container.plugged.push_back(one.guest_address);
        }
    }
}

awaitable<void> Sandbox::await_device(Plugin::Attached device) {
    agent::AwaitDevice wait;
    wait.address = device.guest_address;
    wait.timeout_ms = device_timeout_ms;
    wait.vfio = configuration_.runtime.vfio_mode == "vfio";
    agent::Call call = std::move(wait);
    const auto began = Clock::now();
    const auto value =
        co_await guest_->call(std::move(call), seconds(5 + device_timeout_ms / 1000));
    agent::DeviceReport report;
    try {
        report = agent::parse_device_report(value);
    } catch (const agent::ProtocolError& wrong) {
        throw ttrpc::Error(ttrpc::Code::internal,
                           std::string("the guest's answer: ") + wrong.what());
    }
    log_info("a device is in the guest", {{"device", device.device},
                                          {"guest_address", device.guest_address},
                                          {"driver", report.driver},
                                          {"nodes", join_words(report.nodes)},
                                          {"ms", milliseconds_since(began)}});
    if (report.driver.empty())
        log_warning("no driver of the guest's takes the device",
                    {{"device", device.device}, {"guest_address", device.guest_address}});
}

awaitable<agent::ContainerSpec> Sandbox::add(const std::string& id, const oci::Spec& spec,
                                             const std::filesystem::path& bundle,
                                             const std::vector<Rootfs>& rootfs) {
    agent::ContainerSpec container;
    container.id = id;
    container.read_only = spec.read_only_root;
    container.hostname = spec.hostname.empty() ? hostname_ : spec.hostname;
    container.masked = spec.masked;
    container.read_only_paths = spec.read_only_paths;
    container.limits = spec.limits;
    container.pod_pids = spec.shares_pids;
    container.pod_ipc = spec.shares_ipc;
    container.process = spec.process;
    container.plugged = own_addresses_;
    // In the map from the start: whatever ends the sandbox meanwhile finds it.
    const auto held = std::make_shared<Added>();
    added_[id] = held;
    auto& added = *held;
    std::exception_ptr failed;
    try {
        add_root(id, spec, bundle, rootfs, added, container);
        add_mounts(id, spec, added, container);
        co_await attach(spec, added, container);
    } catch (...) {
        failed = std::current_exception();
    }
    if (failed) {
        co_await remove(id);
        std::rethrow_exception(failed);
    }
    co_return container;
}

awaitable<void> Sandbox::remove(const std::string& id) {
    const auto found = added_.find(id);
    if (found == added_.end())
        co_return;
    auto added = std::move(found->second);
    added_.erase(found);
    co_await undo(std::move(added));
}

awaitable<void> Sandbox::undo(std::shared_ptr<Added> added) {
    std::ranges::reverse(added->devices);
    for (const auto& device : added->devices) {
        try {
            std::string name = device;
            if (running_)
                co_await plugin_->detach(std::move(name));
        } catch (const Failure& failure) {
            // The sandbox's end tries again; the plugin remembers it.
            log_error("a device did not come out of the guest",
                      {{"device", device}, {"error", failure.what()}});
        }
    }
    for (const auto& name : added->names) {
        const auto path = place_.mounts() / name;
        unmount_below(root_, path);
        if (::rmdir(path.c_str()) != 0 && ::unlink(path.c_str()) != 0)
            log_warning("can't remove", {{"path", path.native()}});
    }
}

} // namespace kata_vfio::shim
