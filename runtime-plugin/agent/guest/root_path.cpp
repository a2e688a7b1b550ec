// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/root_path.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kata_vfio::agent {

RootPath::RootPath(const std::string& directory)
    : root_(must(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC),
                 "no root file system " + directory)) {}

UniqueFd RootPath::open(const std::string& path, unsigned long long flags) const {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return UniqueFd(
        static_cast<int>(::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof(how))));
}

UniqueFd RootPath::at(const std::string& path) const {
    auto fd = open(path, O_PATH);
    if (!fd)
        throw SystemError(path, errno);
    return fd;
}

UniqueFd RootPath::make_directory(const std::string& path) const {
    if (auto fd = open(path, O_PATH | O_DIRECTORY))
        return fd;
    if (errno != ENOENT)
        throw SystemError(path, errno);
    std::string done;
    for (const auto piece : split(path, '/')) {
        const std::string part(piece);
        if (part.empty() || part == ".")
            continue;
        const auto parent = at(done.empty() ? "/" : done);
        done += "/" + part;
        if (part != ".." && ::mkdirat(parent.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
            throw SystemError("can't make the directory " + done, errno);
    }
    auto fd = open(path, O_PATH | O_DIRECTORY);
    if (!fd)
        throw SystemError(path, errno);
    return fd;
}

std::pair<UniqueFd, std::string> RootPath::parent_of(const std::string& path) const {
    const auto slash = path.rfind('/');
    auto name = path.substr(slash + 1);
    if (name.empty() || name == "." || name == "..")
        throw SystemError(path + " can't be a file", EINVAL);
    return {make_directory(slash == 0 ? "/" : path.substr(0, slash)), std::move(name)};
}

UniqueFd RootPath::make_file(const std::string& path) const {
    if (auto fd = open(path, O_PATH))
        return fd;
    if (errno != ENOENT)
        throw SystemError(path, errno);
    const auto [parent, name] = parent_of(path);
    const UniqueFd made(
        ::openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
    if (!made)
        throw SystemError("can't make the file " + path, errno);
    return at(path);
}

std::string RootPath::mountable(const UniqueFd& fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
}

} // namespace kata_vfio::agent
