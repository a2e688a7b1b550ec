// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/qemu_owner.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "vfio/sysfs_read.hpp"

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

/// False where a state's text alone says that it is of another QEMU: parsing thousands of them
/// would take longer than all the rest of an open, under the host's lock.
bool may_be_same(std::string_view state, const SandboxState& sandbox) {
    constexpr std::string_view key = "\"qemu_pid\":"; // in a text of somebody's it is escaped
    const auto at = state.find(key);
    if (sandbox.qemu_pid == 0 || at == state.npos)
        return true;
    const auto value = state.substr(at + key.size());
    const auto pid = vfio::number(value.substr(0, value.find(',')));
    return !pid || *pid == 0 || *pid == static_cast<std::uint64_t>(sandbox.qemu_pid);
}

/// nullopt: there is none, it can't be read, or it is of another QEMU.
std::optional<SandboxState> candidate(const fs::path& directory, const SandboxState& sandbox) {
    const auto file = directory / "state.json";
    try {
        const auto text = read_file(file);
        if (text && may_be_same(*text, sandbox))
            return parse_state(*text, file);
    } catch (const Failure&) { // reconcile's to put aside
    }
    return std::nullopt;
}

} // namespace

void refuse_second_sandbox(const StateDir& directory, const SandboxState& sandbox) {
    for (const auto& id : directory.sandbox_ids()) {
        if (id == sandbox.id)
            continue;
        const auto other = candidate(directory.sandbox(id), sandbox);
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
