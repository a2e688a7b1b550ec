// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/journal.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace kata_vfio::plugin {

/// A file of ours that can't be used, and why: torn, empty, of a later version, not a regular file,
/// or another user's.
struct Damage {
    std::filesystem::path file;
    std::string why;
};

/// What is on disk of a sandbox. Damage is data here, so that one bad file stops nothing else.
struct SandboxRecord {
    std::optional<SandboxState> state;
    std::optional<LeftJournal> journal;
    std::optional<Damage> bad_state;
    std::optional<Damage> bad_journal;
};

/// Throws Failure(host_io, permission_denied) when a file is there and can't be read.
SandboxRecord read_record(const std::filesystem::path& sandbox_directory, const std::string& id);

} // namespace kata_vfio::plugin
