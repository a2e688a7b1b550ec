// SPDX-License-Identifier: Apache-2.0
// The multiplexer against a hostile peer: each command ends at most once, none that was abandoned
// or never written ends at all, no more than 8 are in flight, and nothing is left after a
// disconnect.
//
// One step a line: "s NAME" submit, "w" write, "c" the write is done, "a N" abandon, "x"
// disconnect; any other line is a message of the peer.
#include "qemu/qmp/multiplexer.hpp"
#include "test/fuzz/fuzz.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>
#include <set>

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {
namespace {

struct Model {
    Multiplexer commands;
    std::set<CommandId> open; ///< submitted, neither ended nor abandoned
    bool writing = false;

    void write() {
        const auto before = commands.in_flight();
        const auto bytes = commands.prepare_write();
        const auto lines = std::count(bytes.begin(), bytes.end(), '\n');
        require(commands.in_flight() == before + static_cast<std::size_t>(lines),
                "each line written is a command in flight");
        writing = !bytes.empty();
    }

    void receive(std::string_view text) {
        std::set<CommandId> unsent;
        for (const auto id : open)
            if (commands.unsent(id))
                unsent.insert(id);
        auto outcome = commands.consume(parse_message(text));
        if (const auto* completed = std::get_if<Multiplexer::Completed>(&outcome)) {
            require(open.erase(completed->id) == 1, "a command ends once, and not when abandoned");
            require(!unsent.contains(completed->id), "a command does not end before it is written");
        }
    }

    void disconnect() {
        const auto failed = commands.fail_all();
        require(std::set<CommandId>(failed.begin(), failed.end()) == open,
                "a disconnect fails what is open");
        require(commands.in_flight() == 0 && commands.abandoned() == 0 &&
                    commands.oldest_in_flight().empty(),
                "nothing is left after a disconnect");
        open.clear();
        writing = false;
    }
};

} // namespace

void one(std::string_view bytes) {
    Model model;
    while (!bytes.empty()) {
        const auto line = take_line(bytes);
        if (line.starts_with("s "))
            model.open.insert(model.commands.submit(Command(std::string(line.substr(2)))));
        else if (line == "w" && !model.writing)
            model.write();
        else if (line == "c" && model.writing)
            model.commands.commit_write(), model.writing = false;
        else if (line == "x")
            model.disconnect();
        else if (const auto id =
                     line.starts_with("a ") ? vfio::number(line.substr(2)) : std::nullopt)
            model.commands.abandon(*id), model.open.erase(*id);
        else if (line != "w" && line != "c")
            model.receive(line);
        require(model.commands.in_flight() <= Multiplexer::max_in_flight,
                "at most 8 commands are in flight");
    }
    model.disconnect();
}

} // namespace kata_vfio::fuzz
