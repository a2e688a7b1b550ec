// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"

namespace kata_vfio::plugin {

/// state.json as any process writes it.
[[nodiscard]] inline std::optional<Failure> save_state(const std::filesystem::path& directory,
                                                       const SandboxState& state) {
    auto file = prepare_state(directory, state);
    return commit_state(file);
}

} // namespace kata_vfio::plugin
