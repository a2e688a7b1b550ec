// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace kata_vfio::plugin {

/// States of sandboxes as they were read, for those who only look. As long as the file there is the
/// one that was read, it is not read and parsed again: what any process has written is seen at the
/// next load. One thread at a time.
class ReadStates {
  public:
    /// As load_state().
    std::optional<SandboxState> load(const std::string& id,
                                     const std::filesystem::path& sandbox_directory);
    /// Forgets those of which `known` says no: they are gone.
    void keep(const std::function<bool(const std::string& id)>& known);

  private:
    /// Of sandboxes that are gone too, until keep(): then all are forgotten.
    static constexpr std::size_t most = 16384;
    std::map<std::string, KnownState> read_;
};

} // namespace kata_vfio::plugin
