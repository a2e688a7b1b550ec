// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/cgroup.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace kata_vfio::agent {
namespace {

bool put(const std::filesystem::path& file, std::string_view text) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// A "key value" line's value.
std::uint64_t keyed(const std::string& text, std::string_view key) {
    for (const auto line : split(text, '\n'))
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
            return vfio::number(line.substr(key.size() + 1)).value_or(0);
    return 0;
}

} // namespace

std::vector<std::pair<std::string, std::string>> limit_files(const ResourceLimits& limits) {
    std::vector<std::pair<std::string, std::string>> files;
    if (limits.memory)
        files.emplace_back("memory.max", std::to_string(*limits.memory));
    if (limits.swap)
        files.emplace_back("memory.swap.max", std::to_string(*limits.swap));
    if (limits.cpu_quota)
        files.emplace_back("cpu.max", std::to_string(*limits.cpu_quota) + " " +
                                          std::to_string(limits.cpu_period));
    if (limits.cpu_weight)
        files.emplace_back("cpu.weight", std::to_string(*limits.cpu_weight));
    if (limits.processes)
        files.emplace_back("pids.max", std::to_string(*limits.processes));
    return files;
}

std::uint32_t oom_kills(const std::string& memory_events) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(keyed(memory_events, "oom_kill"), UINT32_MAX));
}

void Cgroup::prepare(const std::filesystem::path& mount) {
    for (const auto* controller : {"+cpu", "+memory", "+pids"})
        put(mount / "cgroup.subtree_control", controller);
}

Cgroup::Cgroup(const std::filesystem::path& mount, const std::string& container)
    : path_(mount / container) {}

void Cgroup::make() const {
    if (::mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST)
        throw SystemError("can't make the container's cgroup", errno);
}
void Cgroup::limit(const ResourceLimits& limits) const {
    for (const auto& [file, text] : limit_files(limits)) {
        // Without swap there is no such file, and nothing to limit.
        if (file == "memory.swap.max" && ::access((path_ / file).c_str(), F_OK) != 0)
            continue;
        if (!put(path_ / file, text))
            throw SystemError("can't set the limit " + file + " to " + text, errno);
    }
}
UniqueFd Cgroup::open() const {
    return UniqueFd(must(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                         "can't open the container's cgroup"));
}
UniqueFd Cgroup::open_memory_events() const {
    return UniqueFd(::open((path_ / "memory.events").c_str(), O_RDONLY | O_CLOEXEC));
}
void Cgroup::kill_all() const {
    put(path_ / "cgroup.kill", "1");
}
void Cgroup::remove() const noexcept {
    ::rmdir(path_.c_str());
}
std::vector<std::uint32_t> Cgroup::processes() const {
    std::vector<std::uint32_t> pids;
    const auto text = read_file(path_ / "cgroup.procs").value_or("");
    for (const auto line : split(text, '\n'))
        if (const auto pid = vfio::number(line))
            pids.push_back(static_cast<std::uint32_t>(*pid));
    return pids;
}
Usage Cgroup::usage() const {
    const auto cpu = read_file(path_ / "cpu.stat").value_or("");
    const auto memory = read_file(path_ / "memory.stat").value_or("");
    const auto one = [&](const char* file) {
        return vfio::number_attribute(path_ / file).value_or(0);
    };
    Usage used;
    used.cpu_usec = keyed(cpu, "usage_usec");
    used.user_usec = keyed(cpu, "user_usec");
    used.system_usec = keyed(cpu, "system_usec");
    used.memory = one("memory.current");
    used.anonymous = keyed(memory, "anon");
    used.file = keyed(memory, "file");
    used.inactive_file = keyed(memory, "inactive_file");
    used.processes = one("pids.current");
    used.faults = keyed(memory, "pgfault");
    used.major_faults = keyed(memory, "pgmajfault");
    // "max", or no controller.
    const auto limit = [&](const char* file) {
        return vfio::number_attribute(path_ / file).value_or(UINT64_MAX);
    };
    used.memory_limit = limit("memory.max");
    used.process_limit = limit("pids.max");
    return used;
}

} // namespace kata_vfio::agent
