// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/validate.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

enum class EditKind {
    none,        ///< the value was there already; the file was not written
    uncommented, ///< a commented-out line was made real
    changed,     ///< the bytes of the value were replaced
    inserted,    ///< a line was added to the table
    appended,    ///< the table was added at the end of the file
};

/// "none", "uncommented", ...
std::string_view name(EditKind) noexcept;

struct Edit {
    EditKind kind = EditKind::none;
    std::uint32_t line = 0; ///< of the key, afterwards
    std::string text;       ///< the whole file, afterwards
};

/// Sets `key` of `[table]` to the TOML literal in `text`, touching no byte it need not: comments,
/// order, white space, line ends and a byte order mark stay. A commented-out `# key = ...` is
/// turned into the real line, which is what the walkthrough's sed does. Pure.
///
/// Each candidate edit is proved by parsing before and after: the one key has the value wanted and
/// every other value is as it was. Throws Failure(config_invalid) when `text` is no TOML or when no
/// edit passes (the table is inline or made of dotted keys and the key is not in it).
Edit set_value_in(std::string_view text, std::string_view table, std::string_view key,
                  std::string_view literal, const std::string& file_name = "configuration.toml");

/// set_value_in() on a file, which is replaced atomically, and only if what results can be loaded.
Edit set_value(const std::filesystem::path& file, std::string_view table, std::string_view key,
               std::string_view literal);

struct EnableResult {
    Edit edit;
    Position at;                   ///< of hotplug_vfio_on_root_bus, afterwards
    std::vector<Warning> warnings; ///< of the file afterwards: a misspelt key that is still in it
    std::vector<Finding> left; ///< rules still broken (machine_type, a drop-in that turns it off)
};

/// hotplug_vfio_on_root_bus = true in [hypervisor.qemu] of `file`. Nothing else is changed: what
/// else is wrong is reported in `left`.
EnableResult enable(const std::filesystem::path& file);

struct SetKernelResult {
    Edit edit;
    Position at;          ///< of `kernel` in the file, afterwards
    std::string in_force; ///< the value that is used: another one when a drop-in has the last word
    Position in_force_at;
};

/// kernel = "PATH" in [hypervisor.qemu] of `file`. Whether there is such a kernel, and whether it
/// can serve, is the caller's business.
SetKernelResult set_kernel(const std::filesystem::path& file, const std::string& path);

} // namespace kata_vfio::config
