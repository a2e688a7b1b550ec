// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// Takes configured members' values out of a message's text. Pure, immutable after construction.
///
/// An entry without a dot is a member's name, at any depth; one with dots is a path from the
/// message's top ("arguments.props.secret"), in which arrays are no steps of their own.
class Redaction {
  public:
    Redaction() = default;
    explicit Redaction(const std::vector<std::string>& members);

    bool empty() const noexcept { return names_.empty() && paths_.empty(); }

    /// `text`, which must be valid JSON, with each such value replaced by "[redacted]" and every
    /// other byte as it was: nothing is serialised anew, so numbers and key order stay QEMU's.
    std::string apply(std::string_view text) const;

    static constexpr std::string_view replacement = "\"[redacted]\"";

  private:
    bool matches(const std::vector<std::string>& path) const;

    std::vector<std::string> names_;
    std::vector<std::vector<std::string>> paths_;
};

} // namespace kata_vfio::qemu
