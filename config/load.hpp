// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/document.hpp"
#include "config/schema.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

/// The configuration file to use, in Kata's order, every path below `root` ("/" in earnest):
/// `env` (the value of KATA_CONF_FILE; null or empty is unset; once set nothing else is looked at),
/// configuration.toml in /etc/kata-containers, /usr/share/defaults/kata-containers and, where
/// kata-static puts it, /opt/kata/share/defaults/kata-containers; there configuration-qemu.toml
/// too. Throws Failure(config_invalid) naming every place looked at.
std::filesystem::path find(const std::filesystem::path& root, const char* env);

/// Reads `file` and the drop-ins of `config.d/` beside it (beside what it points to, when it is a
/// symbolic link), sorted by name in byte order and merged key by key; a list replaces a list.
/// As in Kata a drop-in's name needs no suffix. Entries that are no regular file (after following
/// links) are skipped with a warning; one that can't be read is an error, since it may hold policy.
///
/// Throws Failure(config_invalid) with one line "file:line:col key: why" for each thing wrong in
/// any of the files. The rules of config/validate.hpp are not applied here. Not thread-safe with
/// respect to somebody changing the files; otherwise any thread.
Configuration load(const std::filesystem::path& file);

/// As load(), with `text` in the place of the file's bytes: what would be in force if it were
/// written.
Configuration load_as(const std::filesystem::path& file, std::string_view text);

struct Inspected {
    Configuration configuration; ///< with every value that is right
    std::vector<Problem> problems;
};
/// As load(), but what load() throws for is listed, so that a rule broken elsewhere can be told
/// too.
Inspected inspect(const std::filesystem::path& file);

/// As inspect(), with `text` in the place of the file's bytes.
Inspected inspect_as(const std::filesystem::path& file, std::string_view text);

/// The bytes of one configuration file: a regular file of at most 1 MiB, links followed. Throws
/// Failure(config_invalid) saying what else it is.
std::string read_text(const std::filesystem::path& file);

} // namespace kata_vfio::config
