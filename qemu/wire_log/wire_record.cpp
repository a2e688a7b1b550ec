// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_record.hpp"

#include "qemu/qmp/frame.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <utility>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

using Kind = WireRecord::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 9> kinds{
    {{"log", Kind::log},
     {"connect", Kind::connect},
     {"sent", Kind::sent},
     {"received", Kind::received},
     {"synthesised", Kind::synthesised},
     {"torn", Kind::torn},
     {"lost", Kind::lost},
     {"closed", Kind::closed},
     {"gap", Kind::gap}}};

const json::string* find_text(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value ? value->if_string() : nullptr;
}

std::int64_t number_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    json::error_code error;
    const auto number = value ? value->to_number<std::int64_t>(error) : 0;
    return error ? 0 : number;
}

/// A string of U+0000 to U+00FF -> the bytes it stands for; false when it has other characters.
bool to_bytes(std::string_view utf8, std::string& out) {
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto byte = static_cast<unsigned char>(utf8[i]);
        if (byte < 0x80) {
            out += utf8[i];
        } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < utf8.size()) {
            const auto next = static_cast<unsigned char>(utf8[++i]);
            out += static_cast<char>(((byte & 0x03) << 6) | (next & 0x3f));
        } else {
            return false;
        }
    }
    return true;
}

/// The message's own bytes: our writer puts it last, behind members that can't hold this key.
std::string verbatim(std::string_view line, const json::value& message) {
    constexpr std::string_view key = ",\"message\":";
    const auto at = line.find(key);
    const auto end = line.rfind('}');
    if (at != line.npos && end != line.npos && end > at + key.size()) {
        const auto slice = line.substr(at + key.size(), end - at - key.size());
        json::parse_options options;
        options.max_depth = FrameLimits().max_depth + 1;
        json::error_code error;
        if (json::parse(slice, error, {}, options) == message && !error)
            return std::string(slice);
    }
    return json::serialize(message); // written by another hand
}

} // namespace

WireRecord::Kind wire_kind(std::string_view name) {
    for (const auto& [known, kind] : kinds)
        if (known == name)
            return kind;
    return Kind::unknown;
}

std::variant<WireRecord, std::string> parse_wire_line(std::string_view line) {
    json::parse_options options;
    options.max_depth = FrameLimits().max_depth + 1;
    json::error_code error;
    auto value = json::parse(line, error, {}, options);
    if (error)
        return "not JSON: " + error.message();
    auto* object = value.if_object();
    if (!object)
        return "not a JSON object";
    const auto* kind = find_text(*object, "kind");
    if (!kind)
        return "no \"kind\"";

    WireRecord record;
    record.name = std::string(*kind);
    record.kind = wire_kind(record.name);
    const auto* us = object->if_contains("us");
    if (record.kind != Kind::unknown && !(us && us->is_int64()))
        return "no \"us\", the time in microseconds";
    record.us = number_at(*object, "us");
    record.wall_us = number_at(*object, "wall_us");
    record.connection = static_cast<std::uint64_t>(number_at(*object, "conn"));
    record.bytes = static_cast<std::uint64_t>(number_at(*object, "bytes"));
    const auto* direction = find_text(*object, "direction");
    record.received = record.kind == Kind::received || (direction && *direction == "received");
    if (const auto* why = find_text(*object, record.kind == Kind::connect ? "where" : "why"))
        if (!to_bytes(std::string_view(*why), record.why))
            record.why = std::string(*why);
    if (auto* message = object->if_contains("message")) {
        record.text = verbatim(line, *message);
        record.message = std::move(*message);
        record.is_json = true;
    } else if (const auto* text = find_text(*object, "text")) {
        if (!to_bytes(std::string_view(*text), record.text))
            return "\"text\" holds characters that stand for no byte";
    } else if ((record.kind == Kind::sent || record.kind == Kind::received) && record.why.empty()) {
        return "neither \"message\" nor \"text\"";
    }
    return record;
}

} // namespace kata_vfio::qemu
