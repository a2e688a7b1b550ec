// SPDX-License-Identifier: Apache-2.0
// The message parser: throws nothing, keeps at most 256 bytes of what it can't use, and a
// reply of any shape reads as a run state or is refused as documented.
#include "qemu/machine.hpp"
#include "qemu/qmp/message.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    const auto message = parse_message(bytes);
    if (const auto* greeting = std::get_if<Greeting>(&message)) {
        require(!greeting->version().empty(), "a greeting has a version text");
    } else if (const auto* reply = std::get_if<Reply>(&message)) {
        refusal({Errc::qmp_protocol}, [&] {
            const auto state = parse_run_state(reply->value);
            require(!state.before_start() || !state.status.empty(), "no state is no early state");
        });
    } else if (const auto* event = std::get_if<Event>(&message)) {
        require(!event->name.empty(), "an event has a name");
        for (const auto& [key, value] : event->data)
            require(event->text(key).empty() || value.is_string(), "only texts read as texts");
    } else if (const auto* bad = std::get_if<BadMessage>(&message)) {
        require(!bad->why.empty(), "a bad message says why");
        require(bad->text.size() <= 256 && bytes.starts_with(bad->text),
                "a bad message quotes its beginning");
    }
}

} // namespace kata_vfio::fuzz
