// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// A kernel's .config. Source: kernel Documentation/kbuild/kconfig.rst: "CONFIG_X=y|m|..." for what
/// is on, "# CONFIG_X is not set" for what could have been, no line for what the kernel has not got
/// or could not have been chosen.
class KernelConfig {
  public:
    enum class State { builtin, module, off, absent };

    static KernelConfig parse(std::string_view text);

    /// `option` with its "CONFIG_".
    State state(std::string_view option) const;
    bool empty() const noexcept { return options_.empty(); }

  private:
    std::map<std::string, State, std::less<>> options_;
};

/// The bytes of a gzip file's content. Throws Failure(host_io) that says why for bytes that are no
/// gzip, are cut short, or hold more than `limit` bytes.
std::string gunzip(std::string_view bytes, std::size_t limit = std::size_t{8} << 20);

} // namespace kata_vfio::cli
