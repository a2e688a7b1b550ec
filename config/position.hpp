// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace kata_vfio::config {

/// A place in a configuration file, as editors count: from 1, the column in characters.
/// Line 0 is the file as a whole; for a value out of an annotation `file` is the annotation's name.
struct Position {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    /// "file:line:col", or "file" alone when there is no line; "" for no place at all.
    std::string str() const;
    bool operator==(const Position&) const = default;
};

} // namespace kata_vfio::config
