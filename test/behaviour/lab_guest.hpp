// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::behaviour {

/// A sandbox of test/lab/sandbox under TCG with a guest system that boots in a few seconds.
class LabGuest {
  public:
    /// Why no guest can be had here, after having tried to fill the lab's cache; nullopt: it can.
    static std::optional<std::string> unavailable();

    explicit LabGuest(const std::vector<std::string>& options = {});
    ~LabGuest();
    LabGuest(const LabGuest&) = delete;
    LabGuest& operator=(const LabGuest&) = delete;

    std::string monitor() const;
    void wait_booted();
    /// A shell command in the guest; its output. Throws when it fails.
    std::string exec(const std::string& command);

  private:
    std::string directory_;
};

} // namespace kata_vfio::behaviour
