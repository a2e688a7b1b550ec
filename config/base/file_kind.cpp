// SPDX-License-Identifier: Apache-2.0
#include "config/base/file_kind.hpp"

#include <sys/stat.h>

namespace kata_vfio {

std::string_view kind_of_file(mode_t mode) noexcept {
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device node";
    default:
        return "of an unknown kind";
    }
}

std::string_view kind_of_file(const std::filesystem::path& path) noexcept {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? kind_of_file(status.st_mode) : "";
}

} // namespace kata_vfio
