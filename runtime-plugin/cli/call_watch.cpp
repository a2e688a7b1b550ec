// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/call_watch.hpp"

#include "runtime-plugin/cli/table.hpp"
#include "vfio/deadline.hpp"

#include <poll.h>

#include <array>
#include <cerrno>

namespace kata_vfio::cli {

CallWatch::CallWatch(const Arguments& arguments, Io& io)
    : io_(io), show_(arguments.verbose
                         ? Progress::Show::at_once
                         : (arguments.json ? Progress::Show::never : Progress::Show::when_slow)) {}

void CallWatch::begin(const std::string& what) {
    if (signals_.take())
        throw Failure(Errc::cancelled, what + " was cancelled before it began");
    progress_ = std::make_unique<Progress>(io_.err, show_, Progress::Clock::now());
    cancelling_ = false;
    undoing_ = false;
}

void CallWatch::wait(const bool& done, const std::function<void()>& cancel) {
    for (;;) {
        // First, so that a signal finds every step that began before it.
        mailbox_.run();
        if (done)
            return;
        progress_->tick(Progress::Clock::now());
        while (signals_.take())
            on_signal(cancel);
        const auto wake = progress_->wake();
        std::array<pollfd, 2> fds{{{mailbox_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
        const int timeout = wake ? vfio::Deadline(*wake).poll_ms() : -1;
        if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR)
            throw Failure(Errc::internal, "can't wait for the call").sys(errno);
    }
}

void CallWatch::on_signal(const std::function<void()>& cancel) {
    if (cancelling_) {
        const auto& steps = progress_->steps();
        io_.err << "kata-vfio: still undoing"
                << (steps.size() > steps_before_cancel_ ? " (" + printable(steps.back()) + ")" : "")
                << "; stopping now would leave the host half changed\n"
                << std::flush;
        return;
    }
    cancelling_ = true;
    steps_before_cancel_ = progress_->steps().size();
    io_.err << "kata-vfio: cancelling: what was done is being undone\n" << std::flush;
    progress_->show_all();
    cancel();
}

void CallWatch::step(const std::string& text, Progress::Clock::time_point at) {
    if (!progress_)
        return;
    progress_->step(text, at);
    // One that a daemon told of only after the signal: it began before the undoing all the same.
    undoing_ = undoing_ || text.starts_with("undo ");
    if (cancelling_ && !undoing_)
        steps_before_cancel_ = progress_->steps().size();
}

bool CallWatch::repeats_step(const std::string& line) const {
    return progress_ && !progress_->steps().empty() && line.ends_with(progress_->steps().back());
}

void CallWatch::failed(const Failure& failure) const {
    // A call that ends as cancelled has been undone. What could not be is told in the advice with
    // these words, and then nothing is claimed here.
    if (failure.code() != Errc::cancelled ||
        failure.advice().find("undoing stopped at") != std::string::npos)
        return;
    for (std::size_t i = 0; i < steps_before_cancel_ && i < progress_->steps().size(); ++i)
        io_.err << "kata-vfio: undone: " << printable(progress_->steps()[i]) << '\n';
}

void CallWatch::succeeded(const std::string& what) const {
    if (cancelling_)
        io_.err << "kata-vfio: too late to cancel: " << what << " is done\n";
}

} // namespace kata_vfio::cli
