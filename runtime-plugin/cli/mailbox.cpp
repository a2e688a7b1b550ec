// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/mailbox.hpp"

#include "config/base/failure.hpp"

#include <sys/eventfd.h>

#include <cerrno>

namespace kata_vfio::cli {

Mailbox::Mailbox() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_)
        throw Failure(Errc::internal, "can't make an eventfd").sys(errno);
}

void Mailbox::post(std::function<void()> message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    // Can only fail at 2^64 - 1 unread posts.
    [[maybe_unused]] const int done = ::eventfd_write(wake_.get(), 1);
}

void Mailbox::run() {
    std::vector<std::function<void()>> messages;
    {
        const std::lock_guard lock(mutex_);
        eventfd_t count = 0;
        // Nothing to read is no error: run() may be called to drain.
        [[maybe_unused]] const int done = ::eventfd_read(wake_.get(), &count);
        messages.swap(messages_);
    }
    for (const auto& message : messages)
        message();
}

} // namespace kata_vfio::cli
