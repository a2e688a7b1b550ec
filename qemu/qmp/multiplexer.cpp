// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/multiplexer.hpp"

#include "config/base/text.hpp"

#include <algorithm>
#include <cassert>

namespace kata_vfio::qemu {
namespace json = boost::json;

CommandId Multiplexer::submit(const Command& command) {
    const auto id = next_++;
    Entry entry;
    entry.name = command.name;
    entry.line = serialise(command, id);
    entry.fd = command.fd;
    entry.with_fd = command.fd != nullptr;
    entries_.emplace(id, std::move(entry));
    return id;
}

std::string Multiplexer::prepare_write() {
    assert(!writing_);
    std::string bytes;
    for (auto& [id, entry] : entries_) {
        if (in_flight_ == max_in_flight)
            break;
        if (entry.state != State::waiting)
            continue;
        if (entry.with_fd && (fd_in_flight_ || !bytes.empty()))
            break; // those behind it wait too: they are answered in the order they were given
        entry.state = State::staged;
        ++in_flight_;
        bytes += entry.line;
        entry.line = {};
        if (entry.with_fd) {
            fd_in_flight_ = true;
            staged_fd_ = std::move(entry.fd);
            break;
        }
    }
    writing_ = !bytes.empty();
    return bytes;
}

void Multiplexer::commit_write() {
    assert(writing_);
    writing_ = false;
    for (auto& [id, entry] : entries_)
        if (entry.state == State::staged)
            entry.state = State::written;
}

void Multiplexer::abandon(CommandId id) {
    const auto entry = entries_.find(id);
    if (entry == entries_.end())
        return;
    if (entry->second.state == State::waiting)
        entries_.erase(entry);
    else
        entry->second.abandoned = true;
}

Multiplexer::Entries::iterator Multiplexer::find(const std::optional<json::value>& id) {
    if (!id)
        return entries_.end();
    // QEMU echoes by value: an unsigned small enough comes back as int64.
    CommandId number = 0;
    if (id->is_int64() && id->get_int64() > 0)
        number = static_cast<CommandId>(id->get_int64());
    else if (id->is_uint64())
        number = id->get_uint64();
    const auto entry = entries_.find(number);
    // A reply to what was never written is as foreign as one to an unknown id.
    if (entry != entries_.end() && entry->second.state == State::waiting)
        return entries_.end();
    return entry;
}

Multiplexer::Entries::iterator Multiplexer::oldest() {
    return std::find_if(entries_.begin(), entries_.end(),
                        [](const auto& item) { return item.second.state != State::waiting; });
}

Multiplexer::Outcome Multiplexer::finish(Entries::iterator entry, CommandResult result) {
    const auto id = entry->first;
    const bool abandoned = entry->second.abandoned;
    if (entry->second.with_fd)
        fd_in_flight_ = false;
    entries_.erase(entry);
    --in_flight_;
    if (abandoned) {
        ++counters_.late;
        return Dropped::late;
    }
    return Completed{id, std::move(result)};
}

Multiplexer::Dropped Multiplexer::drop_unknown() {
    ++counters_.unknown;
    return Dropped::unknown;
}

Multiplexer::Outcome Multiplexer::consume(Message message) {
    if (auto* event = std::get_if<Event>(&message))
        return std::move(*event);
    if (std::holds_alternative<Greeting>(message)) {
        ++counters_.unknown;
        return Dropped::greeting;
    }
    if (auto* reply = std::get_if<Reply>(&message)) {
        const auto entry = find(reply->id);
        if (entry == entries_.end())
            return drop_unknown();
        return finish(entry, std::move(reply->value));
    }

    const auto* error = std::get_if<ErrorReply>(&message);
    const auto* bad = std::get_if<BadMessage>(&message);
    if (bad)
        ++counters_.bad;
    const auto& id = error ? error->id : bad->id;
    const auto entry = id ? find(id) : oldest();
    if (entry == entries_.end()) {
        if (id)
            return drop_unknown();
        ++counters_.orphans;
        return Dropped::orphan;
    }
    if (!error) {
        Failure failure(Errc::qmp_protocol,
                        "the answer to " + entry->second.name + " is unusable: " + bad->why);
        failure.said(quoted(bad->text));
        return finish(entry, std::move(failure));
    }
    if (id)
        return finish(entry, QmpFailure(entry->second.name, error->error_class, error->desc));
    Failure failure(Errc::qmp_protocol, "QEMU could not read " + entry->second.name);
    failure.said(error->desc);
    return finish(entry, std::move(failure));
}

std::vector<CommandId> Multiplexer::fail_all() {
    std::vector<CommandId> ids;
    for (const auto& [id, entry] : entries_)
        if (!entry.abandoned)
            ids.push_back(id);
    entries_.clear();
    in_flight_ = 0;
    writing_ = false;
    fd_in_flight_ = false;
    staged_fd_.reset();
    return ids;
}

std::size_t Multiplexer::abandoned() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        entries_.begin(), entries_.end(), [](const auto& item) { return item.second.abandoned; }));
}

bool Multiplexer::unsent(CommandId id) const noexcept {
    const auto entry = entries_.find(id);
    return entry != entries_.end() && entry->second.state == State::waiting;
}

std::string Multiplexer::oldest_in_flight() const {
    for (const auto& [id, entry] : entries_)
        if (entry.state != State::waiting)
            return entry.name;
    return {};
}

} // namespace kata_vfio::qemu
