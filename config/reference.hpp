// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace kata_vfio::config {

/// docs/configuration.md, whole: every key of the schema with type, default, unit, range, origin
/// and meaning, and what is known of Kata's other keys. A test keeps the file equal to it.
std::string reference_markdown();

} // namespace kata_vfio::config
