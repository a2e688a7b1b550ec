// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace kata_vfio::plugin {

/// A sandbox's name: it becomes a directory's, so it is 1 to 128 of A-Z a-z 0-9 . _ - and starts
/// with a letter or digit (containerd's ids fit). Throws Failure(malformed_sandbox_id).
std::string require_sandbox_id(std::string_view text);
bool is_sandbox_id(std::string_view text);

} // namespace kata_vfio::plugin
