// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kata_vfio::qemu {

/// `{"QMP": {"version": {"qemu": {...}, "package": ".."}, "capabilities": [..]}}`, the first thing
/// a monitor says to a client (docs/interop/qmp-spec.rst). micro >= 50 is a development tree.
struct Greeting {
    int major = 0, minor = 0, micro = 0;
    std::string package;
    std::vector<std::string> capabilities;

    /// "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"
    std::string version() const;
};

/// `{"return": value, "id": id}`.
struct Reply {
    std::optional<boost::json::value> id;
    boost::json::value value;
};

/// `{"error": {"class": .., "desc": ..}, "id": id}`. Without id QEMU's parser complained before it
/// had read one. The class is kept as text: a newer QEMU may have new ones.
struct ErrorReply {
    std::optional<boost::json::value> id;
    std::string error_class;
    std::string desc;
};

/// `{"event": name, "data": {..}, "timestamp": {"seconds": s, "microseconds": us}}`; the times are
/// -1 when QEMU could not tell or did not say.
struct Event {
    std::string name;
    boost::json::object data;
    std::int64_t seconds = -1;
    std::int64_t microseconds = -1;
    /// QEMU did not send it to us: after a reconnect its answers show that it must have happened
    /// while we were away (see Monitor). The times are then those of finding out.
    bool synthesised = false;

    /// data[key] as text, "" when it is absent or no string.
    std::string_view text(std::string_view key) const noexcept;
};
/// As it came over QMP; one that did not has the member "synthesised", which QEMU's schema has not.
boost::json::object event_json(const Event& event);

/// A complete text that is no message we can use: invalid JSON (QEMU can emit `"id": inf`), not an
/// object, or none of the four kinds. It fails one command, never the session.
struct BadMessage {
    std::string why;                      ///< for people, names no content
    std::string text;                     ///< its beginning as it came, at most 256 bytes
    std::optional<boost::json::value> id; ///< when it was JSON and had one
};

using Message = std::variant<Greeting, Reply, ErrorReply, Event, BadMessage>;

/// Never throws on any input (but std::bad_alloc); unknown members are ignored, key order is free.
/// Nesting up to 1024 is accepted (Boost.JSON's own default of 32 is less than QEMU emits).
Message parse_message(std::string_view text);

} // namespace kata_vfio::qemu
