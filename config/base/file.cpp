// SPDX-License-Identifier: Apache-2.0
#include "config/base/file.hpp"

#include "config/base/failure.hpp"
#include "config/base/temporary_name.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdlib>

namespace kata_vfio {
namespace fs = std::filesystem;
namespace {

void write_all(int fd, std::string_view bytes, const fs::path& path) {
    while (!bytes.empty()) {
        const auto n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            throw host_failure(errno, "can't write " + path.string());
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

} // namespace

std::optional<std::string> read_file(const fs::path& path, std::size_t limit) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ENODEV)
            return std::nullopt;
        throw host_failure(errno, "can't open " + path.string());
    }
    std::string bytes;
    char buffer[16384];
    for (;;) {
        const auto n = ::read(fd.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENODEV)
            return std::nullopt;
        if (n < 0)
            throw host_failure(errno, "can't read " + path.string());
        if (n == 0)
            return bytes;
        bytes.append(buffer, static_cast<std::size_t>(n));
        if (bytes.size() > limit)
            throw Failure(Errc::host_io,
                          path.string() + " is longer than " + std::to_string(limit) + " bytes");
    }
}

Replacement::Replacement(const fs::path& path, std::string_view bytes, mode_t mode)
    : target_(path) {
    struct stat old {};
    bool exists = ::lstat(target_.c_str(), &old) == 0;
    if (exists && S_ISLNK(old.st_mode)) {
        std::error_code ec;
        target_ = fs::canonical(path, ec);
        if (ec)
            throw host_failure(ec.value(), "can't follow the link " + path.string());
        exists = ::stat(target_.c_str(), &old) == 0;
    }
    if (target_.is_relative())
        target_ = fs::absolute(target_);

    auto name = target_.string() + std::string(temporary_suffix);
    UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd)
        throw host_failure(errno, "can't make a file in " + target_.parent_path().string());
    try {
        if (::fchmod(fd.get(), exists ? old.st_mode & 07777 : mode) != 0)
            throw host_failure(errno, "can't set the mode of " + name);
        if (exists && (old.st_uid != ::geteuid() || old.st_gid != ::getegid()) &&
            ::fchown(fd.get(), old.st_uid, old.st_gid) != 0)
            throw host_failure(errno, "can't keep the owner of " + target_.string());
        write_all(fd.get(), bytes, target_);
        in_memory_ = in_memory(fd.get());
        if (!in_memory_ && ::fsync(fd.get()) != 0)
            throw host_failure(errno, "can't sync " + target_.string());
        if (struct stat written{}; in_memory_ && ::fstat(fd.get(), &written) == 0)
            stamp_.emplace(written);
    } catch (...) {
        ::unlink(name.c_str());
        throw;
    }
    temporary_ = std::move(name);
}

Replacement::~Replacement() {
    if (!temporary_.empty())
        ::unlink(temporary_.c_str());
}

std::optional<Failure> Replacement::commit() {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0)
        throw host_failure(errno, "can't replace " + target_.string());
    temporary_.clear();
    if (in_memory_)
        return std::nullopt;
    try {
        sync_directory(target_.parent_path());
    } catch (const Failure& failure) {
        return failure;
    }
    return std::nullopt;
}

void write_atomically(const fs::path& path, std::string_view bytes, mode_t mode) {
    if (const auto unsynced = Replacement(path, bytes, mode).commit())
        throw Failure(*unsynced);
}

bool in_memory(int fd) noexcept {
    struct statfs about = {};
    return ::fstatfs(fd, &about) == 0 &&
           (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC);
}

void sync_directory(const fs::path& directory) {
    UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        throw host_failure(errno, "can't sync directory " + directory.string());
}

} // namespace kata_vfio
