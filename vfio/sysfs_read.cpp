// SPDX-License-Identifier: Apache-2.0
#include "vfio/sysfs_read.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;

namespace {

bool read_up_to(const fs::path& file, std::size_t most, std::string& bytes) {
    // O_NONBLOCK: a FIFO in a fixture, or a device node in a hostile root, must not stop us here.
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd)
        return false;
    char buffer[4096];
    while (bytes.size() < most) {
        const auto n = ::read(fd.get(), buffer, std::min(sizeof buffer, most - bytes.size()));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        bytes.append(buffer, static_cast<std::size_t>(n));
    }
    return true;
}

} // namespace

std::optional<std::string> attribute(const fs::path& file) {
    std::string bytes;
    if (!read_up_to(file, 65536, bytes))
        return std::nullopt;
    return std::string(trim(bytes));
}

std::string read_file_head(const fs::path& file, std::size_t most) {
    std::string bytes;
    return read_up_to(file, most, bytes) ? bytes : std::string();
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
    if (base == 16 && (text.starts_with("0x") || text.starts_with("0X")))
        text.remove_prefix(2);
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, base);
    if (result.ec != std::errc() || result.ptr != end)
        return std::nullopt;
    return value;
}

std::optional<std::uint64_t> number_attribute(const fs::path& file, int base) {
    const auto text = attribute(file);
    return text ? number(*text, base) : std::nullopt;
}

std::optional<std::string> link_target(const std::string& link) {
    char buffer[4096];
    const auto n = ::readlink(link.c_str(), buffer, sizeof buffer);
    if (n <= 0)
        return std::nullopt;
    return std::string(buffer, static_cast<std::size_t>(n));
}

std::optional<std::string> link_name(const std::string& link) {
    auto target = link_target(link);
    if (target)
        target->erase(0, target->rfind('/') + 1);
    return target;
}

std::vector<std::string> names_in(const fs::path& directory) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
    std::vector<std::string> names;
    if (!dir) {
        if (errno == ENOENT || errno == ENOTDIR)
            return names;
        throw host_failure(errno, "can't list " + directory.string());
    }
    errno = 0;
    // readdir() is safe for a stream of our own.
    while (const auto* entry = ::readdir(dir.get())) { // NOLINT(concurrency-mt-unsafe)
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..")
            names.emplace_back(name);
        errno = 0;
    }
    // A directory of a device that goes away while it is listed: what was seen is what there is.
    if (errno != 0 && errno != ENOENT)
        throw host_failure(errno, "can't list " + directory.string());
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace kata_vfio::vfio
