// SPDX-License-Identifier: Apache-2.0
// A monitor client that is cut off while QEMU lives on.
#include "qemu/monitor.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"

#include <fcntl.h>

#include "prelude.hpp"

namespace {

class QemuReconnect : public OnQemu {
  protected:
    asio::awaitable<std::shared_ptr<Monitor>> open(const QemuProcess& qemu) {
        auto make = [this, path = qemu.monitor(0)]() -> asio::awaitable<Monitor::Connection> {
            if (closed_) // as if somebody else had the monitor
                throw Failure(Errc::monitor_busy, "not yet");
            const fake::RawClient socket(path);
            cut_ = UniqueFd(::fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0));
            UniqueFd ours(::fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0));
            Monitor::Connection connection;
            connection.session = co_await Session::from_fd(std::move(ours), patient());
            co_return connection;
        };
        Monitor::Connect connect = std::move(make);
        Monitor::Hooks hooks;
        hooks.event = [this](const Event& event) {
            if (event.synthesised)
                told_.push_back(event.name + ' ' + std::string(event.text("device")));
        };
        ReconnectLimits limits;
        limits.total = 120s;
        auto monitor = co_await Monitor::open(std::move(connect), std::move(hooks), limits);
        co_return monitor;
    }

    /// Ends the connection at both ends: QEMU sees its client leave, the client QEMU.
    void cut() { ::shutdown(cut_.get(), SHUT_RDWR); }

    static asio::awaitable<void> lose(Monitor& monitor) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        const auto session = monitor.session();
        auto waiter = session->arm([](const Event&) { return false; });
        try {
            (void)co_await waiter.wait_until(deadline);
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qemu_gone) << failure.what();
        }
        EXPECT_FALSE(session->running());
    }

    UniqueFd cut_;
    bool closed_ = false;
    std::vector<std::string> told_;
};

} // namespace

TEST_F(QemuReconnect, CutOffAndBackWhileQemuLives) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto monitor = co_await open(qemu);
        for (int round = 0; round < 3; ++round) {
            cut();
            co_await lose(*monitor);
            co_await monitor->ready();
            const auto state = co_await run_state(*monitor->session());
            EXPECT_EQ(state.status, "running");
        }
        EXPECT_TRUE(monitor->last_known().bus);
        monitor->close();
    });
    EXPECT_EQ(told_, std::vector<std::string>{});
}

// What happens meanwhile is seen by another monitor only.
TEST_F(QemuReconnect, RemovedAndStoppedWhileAway) {
    // A USB device goes without the guest's word.
    QemuProcess qemu("pc", {"-device", "qemu-xhci,id=usb"}, 2);
    run([&]() -> asio::awaitable<void> {
        const auto monitor = co_await open(qemu);
        const auto session = monitor->session();
        auto mouse = device_add({{"driver", "usb-mouse"}, {"id", "m1"}, {"bus", "usb.0"}});
        co_await session->execute(std::move(mouse));
        monitor->plugged("m1");
        const auto other = co_await Session::connect(qemu.monitor(1), patient());
        closed_ = true;
        cut();
        co_await lose(*monitor);

        auto gone = other->arm([](const Event& event) {
            return event.name == "DEVICE_DELETED" && event.text("device") == "m1";
        });
        auto remove = device_del("m1");
        co_await other->execute(std::move(remove));
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        EXPECT_TRUE(co_await gone.wait_until(deadline));
        auto stop = Command("stop");
        co_await other->execute(std::move(stop));

        closed_ = false;
        co_await monitor->ready();
        EXPECT_EQ(monitor->last_known().state.status, "paused");
        EXPECT_FALSE(monitor->last_known().devices.contains("m1"));
        monitor->close();
    });
    EXPECT_EQ(told_, (std::vector<std::string>{"DEVICE_DELETED m1", "STOP "}));
}

// device_add is on its way when the connection ends: what QEMU says afterwards decides, and holds.
TEST_F(QemuReconnect, WhatBecameOfADeviceAddShowsInTheInventory) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        const auto monitor = co_await open(qemu);
        const auto session = monitor->session();
        VfioDevice device = rng("r1");
        auto adding = session->submit(device_add(encode_device_add(device)));
        cut();
        try {
            co_await session->finish(std::move(adding));
            ADD_FAILURE() << "answered over a connection that was cut";
        } catch (const CommandLost& lost) {
            EXPECT_NE(std::string(lost.what()).find("whether it was done is not known"),
                      std::string::npos)
                << lost.what();
        }
        co_await monitor->ready();
        const bool there = monitor->last_known().devices.contains("r1");
        const auto now = co_await device_present(*monitor->session(), "r1");
        EXPECT_EQ(there, now);
        monitor->close();
    });
}

TEST_F(QemuReconnect, KilledIsNotWaitedFor) {
    QemuProcess qemu;
    run([&]() -> asio::awaitable<void> {
        auto make = [&qemu]() -> asio::awaitable<Monitor::Connection> {
            Monitor::Connection connection;
            connection.session = co_await Session::connect(qemu.monitor(), patient());
            co_return connection;
        };
        Monitor::Connect connect = std::move(make);
        Monitor::Hooks hooks;
        ReconnectLimits limits;
        limits.total = 3600s; // a wait would be seen
        const auto monitor = co_await Monitor::open(std::move(connect), std::move(hooks), limits);
        qemu.kill();
        co_await lose(*monitor);
        try {
            co_await monitor->ready();
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::monitor_refused) << failure.what();
        }
        monitor->close();
    });
}
