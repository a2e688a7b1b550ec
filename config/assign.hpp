// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/document.hpp"
#include "config/keys.hpp"

#include <toml++/toml.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

/// The value in a few words: `the string "true"`, `the number 1`, `a table`.
std::string describe(const toml::node& value);

/// Where a node begins.
Position begin_of(const toml::source_region& region, const std::string& file);

/// The first line that may have a key of more than 1000 parts, if there is one: toml++, and whoever
/// walks its tables, recurses per part. (Values nested too deeply it refuses itself.) To be asked
/// before toml::parse().
std::optional<Problem> key_too_deep(std::string_view text, const std::string& file);

/// What toml++ says of `text`, which is no TOML.
Problem syntax_problem(const toml::parse_error& error, std::string_view text,
                       const std::string& file);

/// Puts a value of a file into its slot; what is wrong goes to `problems`, the slot is then as it
/// was. True when it was taken.
bool assign(const Key& key, const toml::node& value, const Slot& slot, const std::string& file,
            std::vector<Problem>& problems);

} // namespace kata_vfio::config
