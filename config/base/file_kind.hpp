// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace kata_vfio {

/// What a st_mode says it is, for a sentence: "a regular file", "a directory", "a pipe", "a
/// socket", "a device node".
std::string_view kind_of_file(mode_t mode) noexcept;

/// The same of what is at `path`, links followed; "" when nothing is, or may not be looked at.
std::string_view kind_of_file(const std::filesystem::path& path) noexcept;

} // namespace kata_vfio
