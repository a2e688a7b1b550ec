// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"
#include "runtime-plugin/cli/mailbox.hpp"
#include "runtime-plugin/cli/progress.hpp"
#include "runtime-plugin/cli/signals.hpp"

#include <functional>
#include <memory>
#include <string>

namespace kata_vfio::cli {

/// Waits for the end of calls that others carry out, the plugin or the daemon: shows their steps,
/// and has SIGINT and SIGTERM cancel them. What is cancelled is waited for all the same; further
/// signals don't cut that short. One thread; others post to mailbox().
class CallWatch {
  public:
    /// From here on signals are held: make it before any other thread.
    CallWatch(const Arguments& arguments, Io& io);

    Mailbox& mailbox() noexcept { return mailbox_; }
    bool shows_steps() const noexcept { return show_ != Progress::Show::never; }

    /// Throws Failure(cancelled) if a signal has come already.
    void begin(const std::string& what);
    /// Until `done`, which messages set. `cancel` is called once, at the first signal.
    void wait(const bool& done, const std::function<void()>& cancel);
    /// Whether a signal has come since begin().
    bool cancelling() const noexcept { return cancelling_; }
    /// A step of the call begins.
    void step(const std::string& text, Progress::Clock::time_point at);
    /// Whether the line tells only what a step has told.
    bool repeats_step(const std::string& line) const;

    /// The call's end: tells what was undone, or that it was too late to cancel.
    void failed(const Failure& failure) const;
    void succeeded(const std::string& what) const;

  private:
    void on_signal(const std::function<void()>& cancel);

    Io& io_;
    Progress::Show show_;
    HeldSignals signals_;
    Mailbox mailbox_;
    std::unique_ptr<Progress> progress_; ///< of the call under way
    std::size_t steps_before_cancel_ = 0;
    bool cancelling_ = false;
    bool undoing_ = false; ///< the undoing has been told of: what comes now is part of it
};

} // namespace kata_vfio::cli
