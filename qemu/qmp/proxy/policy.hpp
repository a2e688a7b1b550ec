// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::qemu {

enum class ProxyMode {
    read_only, ///< what only looks
    unsafe,    ///< everything; the sandbox counts as tainted once something else has passed
};

/// Which commands may pass. Pure.
class ProxyPolicy {
  public:
    explicit ProxyPolicy(ProxyMode mode) : mode_(mode) {}

    /// query-*, qom-list, qom-get, qom-list-types, qom-list-properties, device-list-properties:
    /// nothing of the guest or the machine is changed by them.
    static bool only_looks(std::string_view command) noexcept;

    /// What the client is told, class CommandNotFound; nullopt: it may pass. The words are those of
    /// a QEMU that has the command disabled (qapi/qmp-dispatch.c: "Command %s has been
    /// disabled%s%s", a reason behind a colon).
    std::optional<std::string> refusal(std::string_view command) const;

    /// Clients' file descriptors are received, for getfd and add-fd.
    bool takes_descriptors() const noexcept { return mode_ == ProxyMode::unsafe; }

  private:
    ProxyMode mode_;
};

} // namespace kata_vfio::qemu
