// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/qmp/command.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/message.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kata_vfio::qemu {

using CommandId = std::uint64_t;

/// What a command came to: `return`, QEMU's error reply, or an answer that can't be used.
using CommandResult = std::variant<boost::json::value, QmpFailure, Failure>;

/// Ids, order and the fate of every command on one connection. Pure, single-threaded.
///
///     submit() -> waiting -> prepare_write() -> staged -> commit_write() -> written -> consume()
///     abandon(): waiting is forgotten; staged and written become abandoned and keep their id until
///     the reply or the disconnect, so that a late reply can't be taken for another command's.
class Multiplexer {
  public:
    /// QEMU queues 8 in-band commands, then stops reading (QMP_REQ_QUEUE_LEN_MAX, monitor/qmp.c).
    static constexpr std::size_t max_in_flight = 8;

    /// Ids start at 1; 0 is the session's own qmp_capabilities.
    CommandId submit(const Command& command);

    /// The bytes of all commands that may go out now, "" when none; they are staged. Not to be
    /// called again before commit_write().
    ///
    /// A command with a descriptor has the bytes for itself, so that the descriptor comes with its
    /// first one (see take_fd()), and is sent when no other such command is in flight: QEMU keeps
    /// what came last until a command takes it, and closes it when more comes (tcp_chr_recv,
    /// chardev/char-socket.c), while it reads up to 8 commands ahead.
    std::string prepare_write();
    void commit_write();
    /// The descriptor that goes with what prepare_write() gave; nullptr: none.
    std::shared_ptr<const UniqueFd> take_fd() { return std::move(staged_fd_); }

    void abandon(CommandId id);

    /// What a message of the peer did.
    struct Completed {
        CommandId id;
        CommandResult result;
    };
    enum class Dropped {
        late,     ///< the answer of an abandoned command
        unknown,  ///< an id nobody has, or none at all
        orphan,   ///< an error without id while nothing was in flight
        greeting, ///< a second greeting
    };
    using Outcome = std::variant<Completed, Event, Dropped>;

    /// An error without id means QEMU's parser complained about the oldest command in flight (it
    /// works in order); so does a message that can't be parsed: that command fails, nothing else.
    Outcome consume(Message message);

    /// The connection is gone: every command not abandoned, oldest first. Nothing is left after.
    std::vector<CommandId> fail_all();

    /// Written or staged, abandoned ones included: QEMU is still working on those.
    std::size_t in_flight() const noexcept { return in_flight_; }
    std::size_t abandoned() const noexcept;
    /// True when the command has not even been written yet.
    bool unsent(CommandId id) const noexcept;
    /// "device_add" or "" when nothing is in flight.
    std::string oldest_in_flight() const;

    struct Counters {
        std::uint64_t late = 0, unknown = 0, orphans = 0, bad = 0;
    };
    const Counters& counters() const noexcept { return counters_; }

  private:
    enum class State { waiting, staged, written };
    struct Entry {
        std::string name;
        std::string line; ///< until staged
        State state = State::waiting;
        bool abandoned = false;
        bool with_fd = false;
        std::shared_ptr<const UniqueFd> fd; ///< until staged
    };
    using Entries = std::map<CommandId, Entry>; // ordered: the first in flight is the oldest

    Entries::iterator find(const std::optional<boost::json::value>& id);
    Entries::iterator oldest();
    Outcome finish(Entries::iterator entry, CommandResult result);
    Dropped drop_unknown();

    Entries entries_;
    CommandId next_ = 1;
    std::size_t in_flight_ = 0;
    bool writing_ = false;
    bool fd_in_flight_ = false;
    std::shared_ptr<const UniqueFd> staged_fd_;
    Counters counters_;
};

} // namespace kata_vfio::qemu
