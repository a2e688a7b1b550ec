// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace kata_vfio::shim {

/// What a program says, in a file that does not grow without end: much of it a guest can cause, and
/// the file is on /run, which is the host's memory. A full file becomes PATH.1, and the one before
/// that is lost.
class ChildLog {
  public:
    static constexpr std::size_t most_bytes = 1u << 20; ///< of one file

    /// Goes on behind what is there. Throws Failure(host_io, permission_denied).
    explicit ChildLog(std::filesystem::path path);

    /// What can't be written is lost.
    void append(std::string_view text) noexcept;

  private:
    void open();

    std::filesystem::path path_;
    UniqueFd file_;
    std::size_t size_ = 0;
};

/// The end of a log, at most `most` bytes of it, for a text; "" when it can't be read.
std::string last_words(const std::filesystem::path& log, std::size_t most = 1000);

} // namespace kata_vfio::shim
