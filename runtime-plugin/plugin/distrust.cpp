// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/distrust.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace kata_vfio::plugin {

std::string distrust(const std::filesystem::path& path, bool directory) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0)
        return {};
    if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return path.string() + " is no " + (directory ? "directory" : "regular file");
    if (st.st_uid != ::geteuid())
        return path.string() + " belongs to user " + std::to_string(st.st_uid);
    return {};
}

} // namespace kata_vfio::plugin
