// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/driver_binding.hpp"

#include <optional>

namespace kata_vfio::cli {

/// How a function was before `kata-vfio bind`: STATE_DIR/bound/BDF.json, for `restore`.
///
///     {"version": 1, "record": {"address", "earlier_driver", "earlier_override", "driver",
///                               "changed"}}
class BoundRecords {
  public:
    explicit BoundRecords(const plugin::StateDir& directory) : directory_(directory) {}

    /// Throws Failure(state_corrupt) that names the file.
    std::optional<vfio::BindRecord> load(const vfio::PciAddress& address) const;
    /// On disk when it returns.
    void save(const vfio::BindRecord& record) const;
    void forget(const vfio::PciAddress& address) const;

  private:
    std::filesystem::path file(const vfio::PciAddress& address) const;
    const plugin::StateDir& directory_;
};

} // namespace kata_vfio::cli
