// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/inbox.hpp"

#include <boost/asio/buffer.hpp>
#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

namespace kata_vfio::plugin {
namespace asio = boost::asio;

Inbox::Inbox(asio::io_context& io) : bell_(io) {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        throw std::system_error(errno, std::generic_category(), "can't make an eventfd");
    bell_.assign(fd);
    listen();
}

void Inbox::put(std::unique_ptr<Item> item) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = items_.empty();
        items_.push_back(std::move(item));
    }
    // The loop takes all there is at one ring. A count that is full (it can't be) is rung already.
    if (first)
        (void)::eventfd_write(bell_.native_handle(), 1);
}

void Inbox::listen() {
    bell_.async_read_some(asio::buffer(&rings_, sizeof rings_),
                          [this](const boost::system::error_code& error, std::size_t) {
                              if (error)
                                  return;
                              run_all();
                              // A ring meanwhile is counted: the read that listening begins with
                              // finds it, and the work has not waited for that read.
                              if (!closed_)
                                  listen();
                          });
}

void Inbox::run_all() {
    std::vector<std::unique_ptr<Item>> items;
    {
        const std::lock_guard lock(mutex_);
        items.swap(items_);
    }
    for (auto& item : items) {
        item->run();
        item.reset(); // what it holds goes before the next one runs
    }
}

void Inbox::close() {
    closed_ = true;
    run_all();
    bell_.cancel();
}

} // namespace kata_vfio::plugin
