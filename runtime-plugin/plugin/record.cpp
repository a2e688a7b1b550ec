// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/record.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/distrust.hpp"

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

/// The file's content, or the damage that keeps it from being one.
template <class Read>
auto sound(const fs::path& file, std::optional<Damage>& damage, Read&& read) -> decltype(read()) {
    if (auto why = distrust(file); !why.empty()) {
        damage = Damage{file, std::move(why)};
        return std::nullopt;
    }
    try {
        return read();
    } catch (const Failure& failure) {
        if (failure.code() != Errc::state_corrupt)
            throw;
        damage = Damage{file, failure.problem() + ": " + failure.verbatim()};
        return std::nullopt;
    }
}

} // namespace

SandboxRecord read_record(const fs::path& sandbox_directory, const std::string& id) {
    SandboxRecord record;
    const auto state_file = sandbox_directory / "state.json";
    record.state =
        sound(state_file, record.bad_state, [&] { return load_state(sandbox_directory); });
    if (record.state && record.state->id != id) {
        record.bad_state =
            Damage{state_file, state_file.string() + " is of sandbox " + record.state->id};
        record.state.reset();
    }
    record.journal = sound(sandbox_directory / "journal", record.bad_journal,
                           [&] { return read_journal(sandbox_directory); });
    return record;
}

} // namespace kata_vfio::plugin
