// SPDX-License-Identifier: Apache-2.0
// The session's machine in the order its adaptor can call it (connect comes back first, and once):
// nothing becomes ready before a greeting and the answer to our id, lost is final and says why, and
// what the peer sends can't blow up the text.
//
// Line 1: errno of connect, "-" for a success without a peer. Then one event a line: "u TEXT"
// unframed, "t TEXT" deadline, "d N TEXT" disconnected with errno N, "q" closed by us; any other
// line is a message.
#include "qemu/qmp/session_fsm.hpp"
#include "test/fuzz/fuzz.hpp"
#include "vfio/sysfs_read.hpp"

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {
namespace {

int error_number(std::string_view text) {
    const auto value = vfio::number(text);
    return value && *value < 4096 ? static_cast<int>(*value) : 0;
}

SessionAction step(SessionFsm& fsm, std::string_view line) {
    if (line.starts_with("u "))
        return fsm.resume(event::Unframed{{FrameFault::stray, line.substr(2)}});
    if (line.starts_with("t"))
        return fsm.resume(event::DeadlinePassed{line.substr(1)});
    if (line.starts_with("d ")) {
        const auto number = line.substr(2, line.find(' ', 2) - 2);
        return fsm.resume(event::Disconnected{error_number(number), line.substr(2)});
    }
    if (line == "q")
        return fsm.resume(event::Closed{});
    const auto message = parse_message(line);
    return fsm.resume(event::Received{&message, line});
}

void check(const SessionFsm& fsm, SessionState before, SessionAction action) {
    const auto now = fsm.state();
    require(now >= before, "a session never goes back");
    require(action != SessionAction::become_ready ||
                (before == SessionState::negotiating && fsm.greeting()),
            "ready only after the greeting and the negotiation");
    require((action == SessionAction::fail) ==
                (before != SessionState::lost && now == SessionState::lost),
            "fail is told once, when it happens");
    require(action != SessionAction::to_multiplexer || now == SessionState::running,
            "commands see messages only while running");
    require(fsm.why().has_value() == (now == SessionState::lost), "lost says why");
    if (fsm.why())
        require(fsm.why()->problem().size() < 1024, "the peer can't blow up the text");
}

} // namespace

void one(std::string_view bytes) {
    SessionFsm fsm("/run/qmp.sock", std::chrono::milliseconds(5000));
    const auto connect = take_line(bytes);
    check(fsm, SessionState::connecting,
          fsm.resume(event::ConnectReturned{error_number(connect), connect != "-"}));
    while (!bytes.empty()) {
        const auto before = fsm.state();
        check(fsm, before, step(fsm, take_line(bytes)));
    }
}

} // namespace kata_vfio::fuzz
