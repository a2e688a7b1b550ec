// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// The files of a log: PATH, which is written to, and PATH.1 (newer) to PATH.N-1 (oldest). Mode
/// 0600. Blocks as files do; one thread.
///
/// Two processes may write the same log, one after the other ends: QEMU's monitor serves one
/// client. Should they overlap all the same, lines stay whole (O_APPEND, one write each).
class WireFile {
  public:
    WireFile(std::filesystem::path path, std::uint64_t max_bytes, unsigned files);

    /// Opens PATH for appending, made if need be; its directory is not. A symbolic link, or
    /// anything but a regular file, is refused. Returns 0 or an errno.
    int open();
    bool is_open() const noexcept { return static_cast<bool>(fd_); }

    /// Appends a line that ends in a newline, rotating first if PATH would grow over max_bytes by
    /// it. `header` begins each new file. Returns 0 or an errno; then part of the line may be
    /// written, and the next open() ends it with a newline.
    int append(std::string_view line, std::string_view header);

    /// The highest connection number among the last lines of PATH, or of PATH.1 when PATH has
    /// none; 0 when there is none.
    std::uint64_t last_connection() const;

    const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path kept(unsigned number) const;
    int write(std::string_view bytes);
    int rotate();

    std::filesystem::path path_;
    std::uint64_t max_bytes_;
    unsigned files_;
    UniqueFd fd_;
    std::uint64_t size_ = 0;
};

} // namespace kata_vfio::qemu
