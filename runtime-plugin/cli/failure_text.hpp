// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <string>

namespace kata_vfio::cli {

/// A failure for people, on several lines:
///
///     kata-vfio: attach 0000:00:1f.3 to sandbox s1: IOMMU group 4 is not viable
///       blocked by: 0000:00:1f.2 is bound to ahci
///       what to do: bind it to vfio-pci or unbind it
std::string failure_text(const Failure& failure);

} // namespace kata_vfio::cli
