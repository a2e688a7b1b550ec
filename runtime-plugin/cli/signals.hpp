// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <csignal>
#include <optional>

namespace kata_vfio::cli {

/// While it lives SIGINT and SIGTERM do not end the process but wait to be asked for: a change of
/// the host must not be left half done. Threads started meanwhile (the plugin's) leave them alone
/// too. Construct before those; one at a time, in the main thread. What comes in after the last
/// question, and before the end, is dropped: the work it would have stopped is done.
class HeldSignals {
  public:
    HeldSignals();
    ~HeldSignals();
    HeldSignals(const HeldSignals&) = delete;
    HeldSignals& operator=(const HeldSignals&) = delete;

    /// Readable when one has come.
    int fd() const noexcept { return fd_.get(); }

    /// The next one that came, if any. Never blocks.
    std::optional<int> take();

  private:
    sigset_t earlier_;
    UniqueFd fd_;
};

} // namespace kata_vfio::cli
