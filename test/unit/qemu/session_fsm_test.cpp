// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/session_fsm.hpp"

#include <gtest/gtest.h>

#include <cerrno>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using State = SessionState;
using Action = SessionAction;

namespace {

class Fsm : public testing::Test {
  protected:
    Action say(const std::string& text) {
        const auto message = parse_message(text);
        return fsm_.resume(event::Received{&message, text});
    }
    void expect_lost(Action action, Errc code, const std::string& text) {
        EXPECT_EQ(action, Action::fail);
        EXPECT_EQ(fsm_.state(), State::lost);
        ASSERT_TRUE(fsm_.why());
        EXPECT_EQ(name(fsm_.why()->code()), name(code));
        EXPECT_NE(std::string(fsm_.why()->what()).find(text), std::string::npos)
            << fsm_.why()->what();
    }
    void greet() {
        ASSERT_EQ(fsm_.resume(event::ConnectReturned{}), Action::start_reading);
        ASSERT_EQ(fsm_.state(), State::awaiting_greeting);
        ASSERT_EQ(say(R"({"QMP": {"version": {"qemu": {"major": 7}}}})"),
                  Action::send_capabilities);
        ASSERT_EQ(fsm_.state(), State::negotiating);
    }
    void run() {
        greet();
        ASSERT_EQ(say(R"({"return": {}, "id": 0})"), Action::become_ready);
        ASSERT_EQ(fsm_.state(), State::running);
    }
    SessionFsm fsm_{"/run/q.sock", std::chrono::milliseconds(250)};
};

} // namespace

TEST_F(Fsm, HappyWay) {
    run();
    EXPECT_EQ(fsm_.greeting()->major, 7);
    EXPECT_EQ(say(R"({"return": {}, "id": 1})"), Action::to_multiplexer);
    EXPECT_EQ(say("{]"), Action::to_multiplexer);
    EXPECT_EQ(fsm_.resume(event::Unframed{{FrameFault::too_long, "{"}}), Action::to_multiplexer);
    EXPECT_EQ(fsm_.resume(event::DeadlinePassed{}), Action::none);
    EXPECT_FALSE(fsm_.why());
}

TEST_F(Fsm, EventsAreTakenInEveryState) {
    fsm_.resume(event::ConnectReturned{});
    EXPECT_EQ(say(R"({"event": "VSERPORT_CHANGE"})"), Action::deliver_event);
    EXPECT_EQ(fsm_.state(), State::awaiting_greeting);
    EXPECT_EQ(say(R"({"QMP": {}})"), Action::send_capabilities);
    EXPECT_EQ(say(R"({"event": "RESUME"})"), Action::deliver_event);
    EXPECT_EQ(fsm_.state(), State::negotiating);
    // Answers to a client that left before us, and a greeting said twice, change nothing.
    EXPECT_EQ(say(R"({"return": {}, "id": "theirs"})"), Action::none);
    EXPECT_EQ(say(R"({"QMP": {}})"), Action::none);
    EXPECT_EQ(say(R"({"return": {}, "id": 0})"), Action::become_ready);
    EXPECT_EQ(say(R"({"event": "STOP"})"), Action::deliver_event);
}

TEST_F(Fsm, ConnectErrorsAreToldApart) {
    const struct {
        int error;
        Errc code;
        const char* text;
    } cases[] = {
        {ENOENT, Errc::monitor_missing, "there is no QMP socket /run/q.sock: No such file"},
        {ENOTDIR, Errc::monitor_missing, "there is no QMP socket"},
        {ECONNREFUSED, Errc::monitor_refused,
         "nobody listens on the QMP socket /run/q.sock: Connection refused; the QEMU that made it "
         "has ended: kata-vfio sandbox release ID gives back what a sandbox had in it"},
        {EAGAIN, Errc::monitor_busy, "blocked by another client holds the monitor"},
        {EACCES, Errc::permission_denied,
         "can't connect to the QMP socket /run/q.sock: Permission"},
        {EPROTOTYPE, Errc::not_qmp, "no stream socket"},
        {ENAMETOOLONG, Errc::invalid_argument, "longer than the 107 bytes"},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.error);
        fsm_ = SessionFsm("/run/q.sock", std::chrono::milliseconds(250));
        expect_lost(fsm_.resume(event::ConnectReturned{c.error, false}), c.code, c.text);
    }
}

TEST_F(Fsm, SuccessWithoutAPeerIsABusyMonitor) {
    expect_lost(fsm_.resume(event::ConnectReturned{0, false}), Errc::monitor_busy,
                "the QMP monitor /run/q.sock is busy");
}

TEST_F(Fsm, NoGreetingInTime) {
    fsm_.resume(event::ConnectReturned{});
    expect_lost(
        fsm_.resume(event::DeadlinePassed{}), Errc::monitor_busy,
        "connected to /run/q.sock, but no greeting within 250 ms (blocked by another client "
        "holds the monitor, or QEMU hangs)");
}

TEST_F(Fsm, HalfAMessageInTimeIsNotQmp) {
    fsm_.resume(event::ConnectReturned{});
    expect_lost(fsm_.resume(event::DeadlinePassed{"{\"QMP\": {\"ver"}), Errc::not_qmp,
                "'{\"QMP\": {\"ver'");
}

TEST_F(Fsm, NoAnswerToTheCapabilities) {
    greet();
    expect_lost(fsm_.resume(event::DeadlinePassed{}), Errc::qmp_timeout,
                "did not answer qmp_capabilities within 250 ms");
}

TEST_F(Fsm, NotQmpQuotesWhatCame) {
    for (const char* text :
         {R"({"jsonrpc": "2.0"})", R"({"return": {}, "id": 0})", "[1,2]", "{]"}) {
        SCOPED_TRACE(text);
        fsm_ = SessionFsm("/run/q.sock", std::chrono::milliseconds(250));
        fsm_.resume(event::ConnectReturned{});
        expect_lost(say(text), Errc::not_qmp,
                    "does not speak QMP: instead of a greeting it sent '" + std::string(text) +
                        "'");
    }
    fsm_ = SessionFsm("/run/q.sock", std::chrono::milliseconds(250));
    fsm_.resume(event::ConnectReturned{});
    expect_lost(fsm_.resume(event::Unframed{{FrameFault::stray, "HTTP/1.1 400\r"}}), Errc::not_qmp,
                "it sent 'HTTP/1.1 400\\x0d'");
}

TEST_F(Fsm, AnErrorInPlaceOfTheGreetingIsAPeerThatHasNoPlace) {
    fsm_.resume(event::ConnectReturned{});
    expect_lost(say(R"({"error": {"class": "GenericError", "desc": "it has 16 clients"}})"),
                Errc::monitor_busy, "connected to /run/q.sock, but it takes no more clients");
    EXPECT_EQ(fsm_.why()->verbatim(), "it has 16 clients");
}

TEST_F(Fsm, RefusedCapabilities) {
    greet();
    expect_lost(
        say(R"({"id": 0, "error": {"class": "CommandNotFound", "desc": "already complete"}})"),
        Errc::qmp_protocol, "QEMU refused qmp_capabilities on /run/q.sock: already complete");
}

TEST_F(Fsm, UnusableAnswerToTheCapabilities) {
    greet();
    expect_lost(say("{]"), Errc::qmp_protocol, "the answer to qmp_capabilities is unusable: '{]'");
}

TEST_F(Fsm, EndOfTheConnectionInEachState) {
    fsm_.resume(event::ConnectReturned{});
    expect_lost(fsm_.resume(event::Disconnected{}), Errc::qemu_gone, "before its greeting");

    fsm_ = SessionFsm("/run/q.sock", std::chrono::milliseconds(250));
    greet();
    expect_lost(fsm_.resume(event::Disconnected{ECONNRESET, ""}), Errc::qemu_gone,
                "during the negotiation: Connection reset by peer");

    fsm_ = SessionFsm("/run/q.sock", std::chrono::milliseconds(250));
    run();
    say(R"({"event": "SHUTDOWN", "data": {"guest": true}})");
    expect_lost(fsm_.resume(event::Disconnected{0, "{\"ret"}), Errc::qemu_gone,
                "QEMU closed the connection on /run/q.sock, its last event was SHUTDOWN, in the "
                "middle of '{\"ret'");
}

TEST_F(Fsm, AnEventsNameOfMegabytesIsToldInPart) {
    run();
    say("{\"event\": \"" + std::string(1 << 20, 'X') + "\"}");
    fsm_.resume(event::Disconnected{});
    EXPECT_EQ(fsm_.why()->problem(),
              "QEMU closed the connection on /run/q.sock, its last event was " +
                  std::string(64, 'X'));
}

TEST_F(Fsm, EndRightAfterAResetIsACrash) {
    run();
    say(R"({"event": "RESET"})");
    expect_lost(fsm_.resume(event::Disconnected{}), Errc::qemu_gone, "which is a crash");
    EXPECT_TRUE(fsm_.crashed());
}

TEST_F(Fsm, OnlyAnEndBehindAResetIsACrash) {
    run();
    say(R"({"event": "RESET"})");
    say(R"({"event": "RESUME"})");
    fsm_.resume(event::Disconnected{});
    EXPECT_FALSE(fsm_.crashed());
}

TEST_F(Fsm, UnresponsiveIsOpenAndChangesNothingElse) {
    EXPECT_EQ(fsm_.resume(event::Overdue{}), Action::none); // not connected yet
    run();
    EXPECT_EQ(fsm_.resume(event::Answering{}), Action::none);
    EXPECT_EQ(fsm_.resume(event::Overdue{}), Action::tell_state);
    EXPECT_EQ(fsm_.state(), State::unresponsive);
    EXPECT_TRUE(fsm_.open());
    EXPECT_EQ(fsm_.resume(event::Overdue{}), Action::none);
    EXPECT_EQ(say(R"({"return": {}, "id": 1})"), Action::to_multiplexer);
    EXPECT_EQ(say("{]"), Action::to_multiplexer);
    EXPECT_EQ(fsm_.resume(event::Unframed{{FrameFault::too_long, "{"}}), Action::to_multiplexer);
    EXPECT_EQ(fsm_.resume(event::DeadlinePassed{}), Action::none);
    EXPECT_EQ(fsm_.resume(event::Answering{}), Action::tell_state);
    EXPECT_EQ(fsm_.state(), State::running);
    fsm_.resume(event::Overdue{});
    expect_lost(fsm_.resume(event::Disconnected{}), Errc::qemu_gone, "closed the connection");
    EXPECT_FALSE(fsm_.open());
}

TEST_F(Fsm, ClosedByUsAndNothingAfterwards) {
    run();
    expect_lost(fsm_.resume(event::Closed{}), Errc::cancelled, "was closed");
    EXPECT_EQ(fsm_.resume(event::Disconnected{}), Action::none);
    EXPECT_EQ(say(R"({"return": {}, "id": 1})"), Action::none);
    EXPECT_EQ(fsm_.why()->code(), Errc::cancelled);
}

TEST(SessionFsm, NamesPrint) {
    std::ostringstream out;
    out << State::negotiating << ' ' << State::unresponsive << ' ' << State::lost << ' '
        << Action::send_capabilities;
    EXPECT_EQ(out.str(), "negotiating unresponsive lost send_capabilities");
    EXPECT_EQ(SessionFsm::capabilities_line(), "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
}
