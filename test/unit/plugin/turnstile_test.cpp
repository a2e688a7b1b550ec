// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/turnstile.hpp"

#include "config/base/failure.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::plugin {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;

class TurnstileTest : public ::testing::Test {
  protected:
    /// Enters, and keeps the turn in turns[i] until the test ends it.
    void enter(std::size_t i, asio::cancellation_signal* signal = nullptr) {
        auto body = [](TurnstileTest& test, std::size_t at) -> asio::awaitable<void> {
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
            co_await asio::this_coro::throw_if_cancelled(false);
            auto turn = co_await test.turnstile.enter();
            test.entered.push_back(std::to_string(at));
            test.turns[at].emplace(std::move(turn));
        };
        auto ended = [this, i](const std::exception_ptr& error) {
            if (error)
                failed.push_back(std::to_string(i) + " " + std::string(name(code_of(error))));
        };
        if (signal)
            asio::co_spawn(loop, body(*this, i),
                           asio::bind_cancellation_slot(signal->slot(), ended));
        else
            asio::co_spawn(loop, body(*this, i), ended);
        poll();
    }
    void end(std::size_t i) {
        turns[i].reset();
        poll();
    }
    void poll() {
        loop.restart();
        loop.poll();
    }

    asio::io_context loop{1};
    Turnstile turnstile{loop.get_executor()};
    std::array<std::optional<Turnstile::Turn>, 8> turns;
    std::vector<std::string> entered, failed;
};

TEST_F(TurnstileTest, OneAtATimeInOrder) {
    for (std::size_t i = 0; i < 4; ++i)
        enter(i);
    EXPECT_THAT(entered, ElementsAre("0"));
    end(0);
    EXPECT_THAT(entered, ElementsAre("0", "1"));
    enter(4); // behind those that wait
    end(1);
    end(2);
    end(3);
    EXPECT_THAT(entered, ElementsAre("0", "1", "2", "3", "4"));
    end(4);
    enter(5); // free again
    EXPECT_THAT(entered, ElementsAre("0", "1", "2", "3", "4", "5"));
    EXPECT_THAT(failed, ElementsAre());
}

TEST_F(TurnstileTest, ACancelledWaiterGivesItsPlaceUp) {
    asio::cancellation_signal signal;
    enter(0);
    enter(1, &signal);
    enter(2);
    signal.emit(asio::cancellation_type::total);
    poll();
    EXPECT_THAT(failed, ElementsAre("1 cancelled"));
    end(0);
    EXPECT_THAT(entered, ElementsAre("0", "2"));
    end(2);
    enter(3);
    EXPECT_THAT(entered, ElementsAre("0", "2", "3"));
}

// Called and cancelled in one instant, in either order: the turn is not lost.
TEST_F(TurnstileTest, CalledThenCancelled) {
    asio::cancellation_signal signal;
    enter(0);
    enter(1, &signal);
    enter(2);
    turns[0].reset(); // 1 is called, and has not run yet
    signal.emit(asio::cancellation_type::total);
    poll();
    EXPECT_THAT(entered, ElementsAre("0", "1"));
    end(1);
    EXPECT_THAT(entered, ElementsAre("0", "1", "2"));
    EXPECT_THAT(failed, ElementsAre());
}

TEST_F(TurnstileTest, CancelledThenCalled) {
    asio::cancellation_signal signal;
    enter(0);
    enter(1, &signal);
    enter(2);
    signal.emit(asio::cancellation_type::total); // 1 has not run yet
    turns[0].reset();
    poll();
    if (entered.size() > 1 && entered[1] == "1")
        end(1);
    EXPECT_EQ(entered.back(), "2");
    EXPECT_EQ(entered.size() + failed.size(), 3u);
}

TEST_F(TurnstileTest, AMovedTurnEndsOnce) {
    enter(0);
    enter(1);
    {
        auto moved = std::move(*turns[0]);
        turns[0].reset();
        poll();
        EXPECT_THAT(entered, ElementsAre("0"));
    }
    poll();
    EXPECT_THAT(entered, ElementsAre("0", "1"));
}

} // namespace
} // namespace kata_vfio::plugin
