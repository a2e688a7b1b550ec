// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/process.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <poll.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>

namespace kata_vfio::plugin {

std::optional<std::uint64_t> start_time(const vfio::HostRoot& root, std::int64_t pid) {
    if (pid <= 0)
        return std::nullopt;
    const auto stat = read_file(root.proc(std::to_string(pid)) / "stat", 4096);
    // The command, field 2, is in parentheses and may itself hold spaces and parentheses.
    const auto close = stat ? stat->rfind(')') : std::string::npos;
    if (close == std::string::npos)
        return std::nullopt;
    const auto fields = split(trim(std::string_view(*stat).substr(close + 1)), ' ');
    constexpr std::size_t start_field = 22 - 3; // the first one here is field 3
    if (fields.size() <= start_field)
        return std::nullopt;
    std::uint64_t start = 0;
    const auto text = fields[start_field];
    if (std::from_chars(text.data(), text.data() + text.size(), start).ec != std::errc())
        return std::nullopt;
    // A zombie has closed its files already.
    return fields[0] == "Z" ? std::nullopt : std::optional(start);
}

std::optional<std::string> status_line(const vfio::HostRoot& root, std::int64_t pid,
                                       std::string_view key) {
    const auto status = read_file(root.proc(std::to_string(pid)) / "status", 65536);
    const auto value = status ? status_value(*status, key) : std::nullopt;
    return value ? std::optional(std::string(*value)) : std::nullopt;
}

std::optional<std::string_view> status_value(std::string_view status, std::string_view key) {
    for (const auto line : split(status, '\n'))
        if (line.starts_with(key) && line.substr(key.size()).starts_with(':'))
            return trim(line.substr(key.size() + 1));
    return std::nullopt;
}

bool lives(const vfio::HostRoot& root, std::int64_t pid, std::uint64_t start) {
    return pid > 0 && start_time(root, pid) == start;
}

bool await_process_exit(const vfio::HostRoot& root, std::int64_t pid, std::uint64_t start,
                        vfio::Deadline deadline) {
    if (start_time(root, pid) != start)
        return true;
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
    if (!process && errno == ESRCH)
        return true;
    if (!process)
        throw host_failure(errno, "can't watch process " + std::to_string(pid));
    // Looked at again now that the pidfd pins the pid: it may have been reused in between.
    if (start_time(root, pid) != start)
        return true;
    for (;;) {
        pollfd ready{process.get(), POLLIN, 0};
        const int n = ::poll(&ready, 1, deadline.poll_ms());
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            throw host_failure(errno, "can't watch process " + std::to_string(pid));
        if (n == 0 && deadline.passed())
            return false;
    }
}

} // namespace kata_vfio::plugin
