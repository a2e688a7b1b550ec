// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/hotplug.hpp"
#include "session_support.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>

namespace kata_vfio::qemu {

using Ids = std::vector<std::string>;

inline VfioDevice gpu(const std::string& id = "gpu0") {
    return VfioDevice(id, "/sys/bus/pci/devices/0000:00:02.0");
}

inline boost::asio::awaitable<Plugged> plug_at(std::string path, VfioDevice device,
                                               Timeouts timeouts) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_return co_await plug(*session, std::move(device));
}

inline boost::asio::awaitable<void> unplug_at(std::string path, std::string id, Timeouts timeouts,
                                              UnplugProgress progress = {}) {
    const auto session = co_await Session::connect(std::move(path), timeouts);
    co_await unplug(*session, std::move(id), std::move(progress));
}

inline HotplugFailure plug_failure(const std::string& path, const VfioDevice& device,
                                   const Timeouts& timeouts = patient()) {
    return fake::failure_of<HotplugFailure>([&] { return plug_at(path, device, timeouts); });
}

inline HotplugFailure unplug_failure(const std::string& path, const std::string& id,
                                     const Timeouts& timeouts = patient()) {
    return fake::failure_of<HotplugFailure>([&] { return unplug_at(path, id, timeouts); });
}

inline void expect(const HotplugFailure& failure, Errc code, DeviceState left,
                   const std::string& text) {
    EXPECT_EQ(name(failure.code()), name(code));
    EXPECT_EQ(failure.left(), left);
    EXPECT_NE(std::string(failure.what()).find(text), std::string::npos) << failure.what();
}

/// Runs plug or unplug under a cancellation that `when` triggers from another thread.
inline Failure cancelled_by(std::function<boost::asio::awaitable<void>()> body,
                            std::function<void(std::function<void()>)> when) {
    boost::asio::io_context loop(1);
    boost::asio::cancellation_signal cancel;
    std::exception_ptr error;
    boost::asio::co_spawn(loop, body(),
                          boost::asio::bind_cancellation_slot(
                              cancel.slot(), [&](std::exception_ptr e) { error = e; }));
    std::thread other([&] {
        when([&] {
            boost::asio::post(loop, [&] { cancel.emit(boost::asio::cancellation_type::terminal); });
        });
    });
    loop.run();
    other.join();
    try {
        if (error)
            std::rethrow_exception(error);
    } catch (const HotplugFailure& failure) {
        EXPECT_EQ(name(failure.code()), "cancelled");
        return failure;
    }
    throw std::logic_error("nothing was thrown");
}

} // namespace kata_vfio::qemu
