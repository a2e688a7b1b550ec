// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/file.hpp"

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace kata_vfio::plugin {

/// Why a path is not to be read as ours; "" when it may be, or is not there. Whoever can make a
/// file in a root-only directory is root, but a restored backup or a bind mount may bring in
/// others'.
std::string distrust(const std::filesystem::path& path, bool directory = false);
/// The same of what lstat(2) or fstat(2) has said of it.
std::string distrust(const struct stat& st, const std::string& path, bool directory = false);

/// A file of ours as it was read.
struct OwnFile {
    std::optional<std::string> bytes; ///< none: it is not there, or not to be trusted
    std::string distrust;             ///< why it is not
    /// Of what was read; none on a disk's file system, as Replacement::stamp() has it.
    std::optional<FileStamp> stamp;
};

/// One look at the path instead of distrust()'s and read_file()'s, and no moment between the two.
/// Throws Failure as read_file() does.
OwnFile read_own(const std::string& path, std::size_t limit = 16u << 20);

} // namespace kata_vfio::plugin
