// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

/// Something in a file that stops it from being used.
struct Problem {
    Position at;
    std::string key; ///< without its table; "" when the file is no TOML
    std::string text;
    std::string remedy = {}; ///< what to do; "" where `text` says what the value must be

    /// "file:line:col key: text"
    std::string str() const;
};

/// Lays one file's values over `configuration`; what is wrong is added to `problems`, in the order
/// of the file, and everything else is still taken. Pure.
void merge(Configuration& configuration, std::string_view text, const std::string& name,
           std::vector<Problem>& problems);

/// Throws Failure(config_invalid) with a line for each and the first remedy there is, or returns
/// when there is none.
void throw_problems(const std::vector<Problem>& problems);

/// A configuration of one text, as load() makes it of one file without drop-ins. Throws the same.
Configuration load_text(std::string_view text, const std::string& name);

} // namespace kata_vfio::config
