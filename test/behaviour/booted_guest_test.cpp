// SPDX-License-Identifier: Apache-2.0
#include "lab_guest.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include "prelude.hpp"

namespace {

VfioDevice balloon(const std::string& id) {
    VfioDevice device(id);
    device.driver = "virtio-balloon-pci";
    return device;
}

/// A guest that lets devices go: the simulated one, or Linux.
class Guest : public OnEachPeer {
  protected:
    void SetUp() override {
        OnEachPeer::SetUp();
        if (IsSkipped() || GetParam() == Peer::fake)
            return;
        if (const auto why = LabGuest::unavailable())
            GTEST_SKIP() << *why;
    }
    static std::unique_ptr<Machine> booted() {
        Machine::Options options;
        options.guest = true;
        return machine(options);
    }
};
KATA_VFIO_ON_EACH_PEER(Guest);

class BootedGuest : public OnQemu {
  protected:
    void SetUp() override {
        OnQemu::SetUp();
        if (IsSkipped())
            return;
        if (const auto why = LabGuest::unavailable())
            GTEST_SKIP() << *why;
    }
    /// Functions the guest sees, one "0000:00:02.0 ..." a line.
    static std::string lspci(LabGuest& guest) { return guest.exec("lspci -nn -D"); }
};

} // namespace

TEST_P(Guest, LetsItGoAndTheIdIsFreeAgain) {
    const auto guest = booted();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(guest->monitor(), patient());
        auto waiter = session->arm([](const Event& e) { return e.name == "DEVICE_DELETED"; });
        for (int round = 0; round < 2; ++round) {
            auto device = balloon("gpu0");
            (void)co_await plug(*session, std::move(device));
            co_await unplug(*session, "gpu0");
            const bool present = co_await device_present(*session, "gpu0");
            EXPECT_FALSE(present);
            // Its child is announced first, with a path and no id.
            std::string device_of_last;
            for (int events = 0; device_of_last.empty() && events < 8; ++events) {
                const auto event =
                    co_await waiter.wait_until(std::chrono::steady_clock::now() + 60s);
                device_of_last = event ? event->text("device") : "nothing";
                EXPECT_EQ(events == 0, device_of_last.empty()) << events;
            }
            EXPECT_EQ(device_of_last, "gpu0");
        }
        co_await unplug(*session, "gpu0"); // what is gone is gone
        EXPECT_EQ(session->counters().unknown, 0u);
    });
}

TEST_P(Guest, PausedLetsItGoWhenItContinues) {
    const auto guest = booted();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(guest->monitor(), patient());
        auto device = balloon("gpu0");
        (void)co_await plug(*session, std::move(device));
        auto stop = Command("stop");
        co_await session->execute(std::move(stop));
        std::vector<std::string> notes;
        const auto executor = co_await asio::this_coro::executor;
        auto proceed = [](std::shared_ptr<Session> s) -> asio::awaitable<void> {
            auto command = Command("cont");
            co_await s->execute(std::move(command));
        };
        const UnplugProgress progress = [&](const std::string& note) {
            notes.push_back(note);
            asio::co_spawn(executor, proceed(session), asio::detached);
        };
        co_await unplug(*session, "gpu0", progress);
        EXPECT_EQ(notes.size(), 1u);
        if (!notes.empty()) {
            EXPECT_TRUE(notes[0].starts_with("the guest is not running (paused)")) << notes[0];
        }
        const bool present = co_await device_present(*session, "gpu0");
        EXPECT_FALSE(present);
    });
}

TEST_F(BootedGuest, SeesTheDeviceAtTheAddressReportedAndLetsItGo) {
    LabGuest guest;
    guest.wait_booted();
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(guest.monitor(), patient());
        (void)co_await require_pc_machine(*session);
        for (int round = 0; round < 3; ++round) {
            auto device = balloon("gpu0");
            const auto plugged = co_await plug(*session, std::move(device));
            // The guest scans the slot when the hot-plug interrupt reaches it: udev's settling is
            // not to be had, so wait for the function to appear in its own sysfs.
            guest.exec("n=0; until [ -e /sys/bus/pci/devices/" + plugged.guest_address +
                       " ] || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.1; done");
            EXPECT_NE(lspci(guest).find(plugged.guest_address + " "), std::string::npos)
                << lspci(guest);
            const auto before = std::chrono::steady_clock::now();
            co_await unplug(*session, "gpu0");
            std::cout << "unplug took "
                      << std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::steady_clock::now() - before)
                             .count()
                      << " ms\n";
            EXPECT_EQ(lspci(guest).find(plugged.guest_address + " "), std::string::npos);
        }
        EXPECT_EQ(session->counters().unknown, 0u);
    });
}

TEST_F(BootedGuest, RequestLostInEarlyBootIsSentAgain) {
    LabGuest guest; // its firmware has just begun
    unsigned sent = 0;
    run([&]() -> asio::awaitable<void> {
        const WireTap tap = [&](WireDirection direction, std::string_view bytes) {
            if (direction == WireDirection::sent && bytes.find("device_del") != bytes.npos)
                ++sent;
        };
        const auto session = co_await Session::connect(guest.monitor(), patient(), tap);
        auto device = balloon("gpu0");
        (void)co_await plug(*session, std::move(device));
        co_await unplug(*session, "gpu0");
    });
    EXPECT_GE(sent, 2u);
    guest.wait_booted();
    EXPECT_EQ(lspci(guest).find("1af4:1002"), std::string::npos);
}
