// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_world.hpp"
#include "runtime-plugin/plugin/claims.hpp"

#include <filesystem>
#include <string>

namespace kata_vfio::cli {

inline constexpr auto gpu = "0000:00:02.0";
inline constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";
inline constexpr auto gpu_dir = "/sys/bus/pci/devices/0000:00:02.0/";

struct HostVerbs : HostWorld {
    /// Makes sandbox `id` the owner of a claim, as an attach in another process would.
    void claim(const std::string& name, const std::string& id) const {
        const plugin::StateDir state(root.at("/run/kata-vfio"));
        state.ensure(state.sandbox(id));
        plugin::Claims(state, root.host()).take({name}, plugin::Claim{id, 0, 0});
    }
    std::string driver() const {
        const auto link = root.at(std::string(gpu_dir) + "driver");
        std::error_code ec;
        return std::filesystem::read_symlink(link, ec).filename().string();
    }
};

} // namespace kata_vfio::cli
