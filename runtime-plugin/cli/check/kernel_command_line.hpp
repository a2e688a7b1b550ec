// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kata_vfio::cli {

/// /proc/cmdline. Source: kernel Documentation/admin-guide/kernel-parameters.rst: words parted by
/// white space, double quotes keep it, '-' and '_' in a name are the same, what comes after " -- "
/// is init's.
class KernelCommandLine {
  public:
    static KernelCommandLine parse(std::string_view text);

    /// The value of the last `name=value` (a later one overrides), "" for a bare `name`; none when
    /// it is not there.
    std::optional<std::string> value(std::string_view name) const;
    /// Whether `word` is among the comma-separated words of the last `name=`.
    bool has_word(std::string_view name, std::string_view word) const;

  private:
    std::vector<std::pair<std::string, std::string>> parameters_;
};

} // namespace kata_vfio::cli
