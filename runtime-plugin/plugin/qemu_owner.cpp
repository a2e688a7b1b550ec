// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/qemu_owner.hpp"

#include "config/base/failure.hpp"

#include <sys/stat.h>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

/// Of sockets std::filesystem::equivalent() can't tell.
bool same_file(const std::string& one, const std::string& other) {
    struct stat first {
    }, second{};
    return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool same_qemu(const SandboxState& one, const SandboxState& other) {
    if (one.qemu_pid != 0 && other.qemu_pid != 0)
        return one.qemu_pid == other.qemu_pid && one.qemu_start == other.qemu_start;
    return one.qmp_socket == other.qmp_socket || same_file(one.qmp_socket, other.qmp_socket);
}

std::optional<SandboxState> readable_state(const fs::path& directory) {
    try {
        return load_state(directory);
    } catch (const Failure&) {
        return std::nullopt;
    }
}

} // namespace

void refuse_second_sandbox(const StateDir& directory, const SandboxState& sandbox) {
    for (const auto& id : directory.sandbox_ids()) {
        if (id == sandbox.id)
            continue;
        const auto other = readable_state(directory.sandbox(id));
        if (!other || !same_qemu(sandbox, *other))
            continue;
        throw Failure(Errc::invalid_argument,
                      "the QEMU at " + sandbox.qmp_socket + " is sandbox " + id + "'s already")
            .blocked_by("sandbox " + id + ", with " + std::to_string(other->attachments.size()) +
                        (other->attachments.size() == 1 ? " attachment" : " attachments") +
                        " and the monitor " + other->qmp_socket)
            .remedy("use sandbox " + id + ", or release it first: kata-vfio sandbox release " + id);
    }
}

} // namespace kata_vfio::plugin
