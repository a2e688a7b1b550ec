// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

/// A key that once did, or elsewhere does, something a reader may expect of us and that has no
/// effect here.
struct ObsoleteKey {
    std::string_view table;
    std::string_view name;
    std::string_view inert; ///< the TOML literal that asks for nothing: no warning then
    std::string_view instead;
};

std::span<const ObsoleteKey> obsolete_keys() noexcept;
const ObsoleteKey* find_obsolete(std::string_view table, std::string_view name) noexcept;

/// True for a key or a whole table of Kata's configuration files 1.x to 3.x that we make no use of:
/// a stock file must not be answered with a page of "unknown key". Values are not looked at.
bool is_kata_key(std::string_view table, std::string_view name) noexcept;

/// True for <name> of an annotation io.katacontainers.config.hypervisor.<name> that Kata knows and
/// we make no use of.
bool is_kata_annotation(std::string_view name) noexcept;

/// Kata's and the obsolete names in a table, for suggestions.
std::vector<std::string> kata_names(std::string_view table);

} // namespace kata_vfio::config
