// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/signals.hpp"

#include "config/base/failure.hpp"

#include <sys/signalfd.h>

#include <cerrno>

namespace kata_vfio::cli {

HeldSignals::HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    if (const int error = ::pthread_sigmask(SIG_BLOCK, &held, &earlier_); error != 0)
        throw Failure(Errc::internal, "can't hold signals").sys(error);
    fd_.reset(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) {
        const int error = errno;
        ::pthread_sigmask(SIG_SETMASK, &earlier_, nullptr);
        throw Failure(Errc::internal, "can't make a signalfd").sys(error);
    }
}

HeldSignals::~HeldSignals() {
    while (take())
        ;
    ::pthread_sigmask(SIG_SETMASK, &earlier_, nullptr);
}

std::optional<int> HeldSignals::take() {
    signalfd_siginfo info;
    if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
        return std::nullopt;
    return static_cast<int>(info.ssi_signo);
}

} // namespace kata_vfio::cli
