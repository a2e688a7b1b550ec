// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kata_vfio::config {

/// A key's place in a Configuration; its alternative is the key's type.
using Slot = std::variant<bool*, std::int64_t*, std::string*, std::vector<std::string>*,
                          std::chrono::milliseconds*>;

/// What the list of patterns is that a path from an annotation must match.
enum class PathList { none, hypervisor_paths, guest_files };

/// One row of the schema. Parsing, suggestions, `config show` and docs/configuration.md all come
/// from these rows; the default is what a fresh Configuration holds.
struct Key {
    std::string_view table; ///< "hypervisor.qemu"
    std::string_view name;
    Slot (*slot)(Configuration&);
    std::string_view unit = {}; ///< "ms", "MiB", "bytes", "s" or ""
    std::int64_t min = std::numeric_limits<std::int64_t>::min();
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    std::vector<std::string_view> choices = {}; ///< empty: any text
    bool annotation = false;                    ///< may be set by an annotation, once enabled
    std::string_view annotation_name = {};      ///< where that is not the key's own name
    PathList paths = PathList::none;
    bool fraction = false;       ///< Kata 3 writes 1.5 here too; it is rounded up, as there
    bool regexes = false;        ///< every element must compile as a regular expression
    std::string_view since = {}; ///< the Kata or kata-vfio version the key came with
    std::string_view doc = {};   ///< one line, a sentence or two

    std::string dotted() const;
    bool ranged() const noexcept {
        return min != std::numeric_limits<std::int64_t>::min() ||
               max != std::numeric_limits<std::int64_t>::max();
    }
};

/// All keys, in the order documentation and `config show` have them: table by table.
const std::vector<Key>& keys();

/// nullptr when there is none.
const Key* find_key(std::string_view table, std::string_view name);

/// The key that an annotation io.katacontainers.config.hypervisor.`name` sets; nullptr: none.
const Key* find_annotation(std::string_view name);

/// A slot's value as TOML: `true`, `2048`, `"pc"`, `["*"]`.
std::string toml_literal(const Slot& slot);
/// A TOML basic string, quotes and escapes included.
std::string toml_string(std::string_view text);
/// "true or false", "a whole number", ... for messages and the reference.
std::string type_name(const Slot& slot);
/// The default as TOML.
std::string default_literal(const Key& key);
/// "1 to 600000 ms", "at least 256 MiB", `"guest-kernel" or "vfio"`; "" when anything goes.
std::string range_text(const Key& key);
/// What is wrong with a number for this key; "" when nothing.
std::string range_problem(const Key& key, std::int64_t value);
/// What is wrong with a text for this key; "" when nothing.
std::string choice_problem(const Key& key, const std::string& value);

} // namespace kata_vfio::config
