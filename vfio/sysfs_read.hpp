// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Reading sysfs attributes; for the rooms vfio and mdev.
namespace kata_vfio::vfio {

/// The attribute without the white space around it; none when it is not there (any more), is not a
/// regular file, or can't be read: for attributes that are a nicety. Never throws for the host's
/// sake. Reads at most 64 KiB.
std::optional<std::string> attribute(const std::filesystem::path& file);

/// The first bytes of a (binary) file, untrimmed; "" when it is not there or can't be read.
std::string read_file_head(const std::filesystem::path& file, std::size_t most);

/// A number in the given base, "0x" allowed for 16; none when anything else is in it.
std::optional<std::uint64_t> number(std::string_view text, int base = 10);
std::optional<std::uint64_t> number_attribute(const std::filesystem::path& file, int base = 10);

/// What a symbolic link points to, as it stands there; none when it is no link.
std::optional<std::string> link_target(const std::string& link);

/// The last component of what a symbolic link points to; none when it is no link.
std::optional<std::string> link_name(const std::string& link);

/// The names in a directory, sorted; empty when it is not there. Throws Failure for any other
/// error.
std::vector<std::string> names_in(const std::filesystem::path& directory);

} // namespace kata_vfio::vfio
