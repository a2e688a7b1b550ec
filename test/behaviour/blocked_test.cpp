// SPDX-License-Identifier: Apache-2.0
#include "config/base/unique_fd.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include "prelude.hpp"

namespace {

/// A QEMU whose main loop stands still from a blockdev-add on: blkdebug's configuration is a FIFO,
/// and opening that for reading waits for who writes (tests/qtest/qmp-test.c, test_qmp_oob). What a
/// slow device_add does to everything else, but for as long as the test wants.
class BlockedQemu : public OnQemu {
  protected:
    void SetUp() override {
        OnQemu::SetUp();
        if (IsSkipped())
            return;
        qemu_.emplace("pc", std::vector<std::string>{}, 2);
        fifo_ = qemu_->directory() + "/fifo";
        ASSERT_EQ(::mkfifo(fifo_.c_str(), 0600), 0);
    }

    Command blocker() const {
        const json::object image{{"driver", "null-co"}};
        return Command(
            "blockdev-add",
            {{"driver", "blkdebug"}, {"node-name", "blocker"}, {"config", fifo_}, {"image", image}},
            CommandClass::device_add);
    }
    /// Begins it and does not wait; answered_ counts.
    asio::awaitable<void> block(std::shared_ptr<Session> session) {
        const auto executor = co_await asio::this_coro::executor;
        asio::co_spawn(executor, send_blocker(std::move(session)), [](std::exception_ptr error) {
            EXPECT_FALSE(error) << "blockdev-add failed";
        });
    }
    asio::awaitable<void> send_blocker(std::shared_ptr<Session> session) {
        auto command = blocker();
        co_await session->execute(std::move(command));
        ++answered_;
    }
    /// Returns when QEMU has opened it too; the configuration is then empty.
    void release() const { UniqueFd fd(::open(fifo_.c_str(), O_WRONLY | O_CLOEXEC)); }

    static Timeouts hasty() {
        auto timeouts = patient();
        timeouts.query = timeouts.device_del = 300ms;
        return timeouts;
    }
    /// A question with the patience of device_add: answered once the loop runs again.
    static asio::awaitable<std::string> patient_status(Session& session) {
        auto command = Command("query-status", {}, CommandClass::device_add);
        const auto value = co_await session.execute(std::move(command));
        co_return parse_run_state(value).status;
    }

    std::optional<QemuProcess> qemu_;
    std::string fifo_;
    int answered_ = 0;
};

} // namespace

TEST_F(BlockedQemu, OthersTimeOutNamingTheBlockerAndNothingIsPoisoned) {
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu_->monitor(0), hasty());
        const auto status = co_await patient_status(*session);
        EXPECT_EQ(status, "running");
        co_await block(session);
        for (int round = 0; round < 2; ++round) {
            std::optional<Failure> why;
            try {
                (void)co_await run_state(*session);
            } catch (const Failure& failure) {
                why = failure;
            }
            EXPECT_TRUE(why);
            if (why) {
                EXPECT_STREQ(why->what(),
                             "QEMU did not answer query-status within 300 ms (blocked by "
                             "blockdev-add, which QEMU has not answered yet); see whether the QEMU "
                             "process is stopped (SIGSTOP) or its host overloaded");
                EXPECT_EQ(why->code(), Errc::qmp_timeout);
            }
        }
        EXPECT_EQ(answered_, 0);
        release();
        const auto after = co_await patient_status(*session);
        EXPECT_EQ(after, "running");
        EXPECT_EQ(answered_, 1);
        EXPECT_EQ(session->counters().late, 2u);
        EXPECT_EQ(session->counters().unknown, 0u);
        // And plugging works as ever.
        auto device = rng("a");
        device.addr = "09.0";
        const auto plugged = co_await plug(*session, std::move(device));
        EXPECT_EQ(plugged.guest_address, "0000:00:09.0");
    });
}

// Commands run in one loop: what one monitor's client does holds up the other's.
TEST_F(BlockedQemu, TheOtherMonitorIsHeldUpTooAndRecovers) {
    run([&]() -> asio::awaitable<void> {
        const auto blocking = co_await Session::connect(qemu_->monitor(0), hasty());
        const auto other = co_await Session::connect(qemu_->monitor(1), hasty());
        (void)co_await patient_status(*blocking);
        (void)co_await patient_status(*other);
        co_await block(blocking);
        try { // the blocker is in QEMU's hands once something behind it has timed out
            (void)co_await run_state(*blocking);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
        }
        try {
            (void)co_await run_state(*other);
            ADD_FAILURE();
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout);
            EXPECT_TRUE(failure.blocker().empty()) << failure.what();
        }
        release();
        const auto status = co_await patient_status(*other);
        EXPECT_EQ(status, "running");
        EXPECT_EQ(other->counters().late, 1u);
    });
}

TEST_F(BlockedQemu, AnUnplugThenSaysUnknownAndTheDeviceIsStillThere) {
    run([&]() -> asio::awaitable<void> {
        const auto session = co_await Session::connect(qemu_->monitor(0), hasty());
        (void)co_await patient_status(*session);
        auto device = device_add(encode_device_add(rng("a")));
        co_await session->execute(std::move(device));
        co_await block(session);
        try {
            co_await unplug(*session, "a");
            ADD_FAILURE();
        } catch (const HotplugFailure& failure) {
            EXPECT_EQ(failure.code(), Errc::qmp_timeout) << failure.what();
            EXPECT_EQ(failure.left(), DeviceState::unknown);
            EXPECT_EQ(failure.blocker(), "blockdev-add, which QEMU has not answered yet");
        }
        release();
        (void)co_await patient_status(*session);
    });
    EXPECT_EQ(ids_on_bus(qemu_->monitor(1)), std::vector<std::string>{"a"});
}
