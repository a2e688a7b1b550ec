// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace kata_vfio::plugin {

/// Work for the loop that other threads bring, in their order.
///
/// asio::post() wakes a loop that waits in epoll while it holds the loop's own mutex: on a busy
/// processor the loop runs at once, waits for that mutex, and the two change places twice more.
/// Here the loop is woken with nothing held.
class Inbox {
  public:
    explicit Inbox(boost::asio::io_context& io);
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;

    /// On any thread. `work` is a function without arguments, that may be movable only; it runs on
    /// the loop. What is brought after close() does not run.
    template <class F>
    void post(F work) {
        put(std::make_unique<Of<F>>(std::move(work)));
    }

    /// On the loop: it is kept running by nothing here any more. What has been brought runs.
    void close();

  private:
    struct Item {
        Item() = default;
        Item(const Item&) = delete;
        Item& operator=(const Item&) = delete;
        virtual ~Item() = default;
        virtual void run() = 0;
    };
    template <class F>
    struct Of final : Item {
        explicit Of(F work) : work_(std::move(work)) {}
        void run() override { std::move(work_)(); }
        F work_;
    };

    void put(std::unique_ptr<Item> item);
    void listen();
    void run_all();

    std::mutex mutex_;
    std::vector<std::unique_ptr<Item>> items_;
    boost::asio::posix::stream_descriptor bell_; ///< an eventfd, rung when there was no item
    std::uint64_t rings_ = 0;
    bool closed_ = false;
};

} // namespace kata_vfio::plugin
