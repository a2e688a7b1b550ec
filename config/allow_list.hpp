// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace kata_vfio::config {

/// Whether `name` (an mdev type, a parent, a device) matches one of the glob patterns: fnmatch(3)
/// with `*`, `?` and `[...]`, where `*` runs over every character. An empty list allows nothing.
bool allowed(std::span<const std::string> patterns, const std::string& name);

/// As allowed(), for file names: `*` stays within one directory and skips hidden files, and only an
/// absolute path free of "." and ".." can match.
bool allowed_path(std::span<const std::string> patterns, const std::string& path);

} // namespace kata_vfio::config
