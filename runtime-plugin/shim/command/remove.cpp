// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/shim/command/commands.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"
#include "runtime-plugin/shim/task/timestamp.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "runtime-plugin/shim/vm/mount.hpp"
#include "runtime-plugin/shim/vm/place.hpp"
#include "runtime-plugin/shim/vm/plugin.hpp"
#include "task.pb.h"

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <optional>

namespace kata_vfio::shim {
namespace fs = std::filesystem;
using std::chrono::milliseconds;
namespace {

// containerd gives `delete` five seconds in all.
constexpr milliseconds for_shim{1500}; ///< one that was shut down ends by itself
constexpr milliseconds for_qemu{1500};
constexpr milliseconds for_file_server{200}; ///< it ends with QEMU
constexpr milliseconds for_devices{1500};

void end_process(const vfio::HostRoot& root, const Place& place, const char* file,
                 milliseconds before, milliseconds after) {
    const auto process = place.living(file);
    if (!process)
        return;
    if (before.count() > 0 &&
        plugin::await_process_exit(root, process->pid, process->start, vfio::Deadline(before)))
        return;
    log_warning("a process is left and is killed", {{"of", file}});
    ::kill(static_cast<pid_t>(process->pid), SIGKILL);
    if (!plugin::await_process_exit(root, process->pid, process->start, vfio::Deadline(after)))
        log_error("a process does not end", {{"of", file}});
}

void clean(const vfio::HostRoot& root, const Place& place) {
    end_process(root, place, "shim.pid", for_shim, for_qemu);
    std::error_code ec;
    if (!fs::exists(place.directory(), ec))
        return;
    end_process(root, place, "qemu.pid", milliseconds(0), for_qemu);
    end_process(root, place, "virtiofsd.pid", for_file_server, for_file_server);
    try {
        const auto config = read_file(place.at("configuration")).value_or("");
        boost::asio::io_context io;
        Plugin plugin(io, config, true);
        plugin.release_now(place.key(), for_devices);
    } catch (const Failure& failure) {
        log_error("devices are not given back; kata-vfio reconcile tries again",
                  {{"error", failure.what()}});
    }
    place.remove();
}

} // namespace

int remove(const Arguments& arguments, const vfio::HostRoot& root) {
    log_enable(true);
    log_with_debug(arguments.debug);
    const auto bundle = arguments.bundle.empty() ? fs::current_path() : fs::path(arguments.bundle);
    // A bundle without a readable config.json is what a crash of containerd leaves; only a sandbox
    // has a place of its own then.
    std::optional<oci::Spec> spec;
    try {
        if (const auto text = read_file(bundle / "config.json", 4u << 20))
            spec = oci::parse_spec(*text);
    } catch (const std::exception& error) {
        log_warning("the bundle can't be read", {{"error", error.what()}});
    }
    if (!spec || spec->kind != oci::Kind::container)
        clean(root, Place(root, arguments.containerd_namespace, arguments.id));
    if (spec && spec->kind != oci::Kind::container)
        HostCgroup(root, spec->cgroups_path).remove();
    // What it had in the share goes with the sandbox; its bundle's own root file system, if
    // somebody mounted one there, goes now.
    unmount_below(root, bundle / "rootfs");
    containerd::task::v2::DeleteResponse response;
    response.set_exit_status(128 + SIGKILL);
    set_time(*response.mutable_exited_at(), std::chrono::system_clock::now());
    std::cout << response.SerializeAsString() << std::flush;
    return 0;
}

} // namespace kata_vfio::shim
