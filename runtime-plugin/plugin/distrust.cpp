// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/distrust.hpp"

#include "config/base/failure.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace kata_vfio::plugin {

std::string distrust(const struct stat& st, const std::string& path, bool directory) {
    if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return path + " is no " + (directory ? "directory" : "regular file");
    if (st.st_uid != ::geteuid())
        return path + " belongs to user " + std::to_string(st.st_uid);
    return {};
}

std::string distrust(const std::filesystem::path& path, bool directory) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0)
        return {};
    return distrust(st, path.string(), directory);
}

OwnFile read_own(const std::string& path, std::size_t limit) {
    OwnFile file;
    // O_NONBLOCK: somebody may have put a FIFO there.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) {
        const int error = errno;
        if (error == ENOENT || error == ENOTDIR)
            return file;
        // A link, a socket, or a file of another user's that keeps us out.
        file.distrust = distrust(std::filesystem::path(path));
        if (file.distrust.empty())
            throw host_failure(error, "can't open " + path);
        return file;
    }
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0)
        throw host_failure(errno, "can't look at " + path);
    file.distrust = distrust(st, path);
    if (!file.distrust.empty())
        return file;
    const auto too_long = [&] {
        return Failure(Errc::host_io, path + " is longer than " + std::to_string(limit) + " bytes");
    };
    if (static_cast<std::size_t>(st.st_size) > limit)
        throw too_long();
    // One byte more than it had: the read that finds its end is the one that has all of it.
    std::string bytes(static_cast<std::size_t>(st.st_size) + 1, '\0');
    std::size_t have = 0;
    for (;;) {
        const auto n = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            throw host_failure(errno, "can't read " + path);
        have += static_cast<std::size_t>(n);
        if (have < bytes.size())
            break;
        if (have > limit)
            throw too_long();
        bytes.resize(bytes.size() + 4096); // it has grown meanwhile
    }
    bytes.resize(have);
    if (in_memory(fd.get()))
        file.stamp.emplace(st);
    file.bytes = std::move(bytes);
    return file;
}

} // namespace kata_vfio::plugin
