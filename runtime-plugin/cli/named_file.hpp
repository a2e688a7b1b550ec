// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace kata_vfio::cli {

/// The bytes of a file that was named on the command line as a `what` ("a kernel"). A pipe will do,
/// as a shell's <(...) is one.
///
/// Throws Failure (host_io, permission_denied) with `remedy`: it is not there, is a directory,
/// can't be read, is longer than `limit` bytes.
std::string read_named_file(const std::filesystem::path& file, std::string_view what,
                            std::size_t limit, const std::string& remedy);

/// write_atomically() to a file that was named behind `option` ("--svg"). What is there and is no
/// regular file is refused: root's rename would put a file in the place of /dev/null.
///
/// Throws Failure (host_io, permission_denied) with what to do about the folder or the name.
void write_named_file(std::string_view option, const std::filesystem::path& file,
                      std::string_view bytes, mode_t mode);

} // namespace kata_vfio::cli
