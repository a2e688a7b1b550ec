// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_lines.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <unistd.h>

#include <algorithm>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

/// For a parse that only says whether it is JSON.
struct NoHandler {
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = max_object_size;
    static constexpr std::size_t max_key_size = max_object_size;
    static constexpr std::size_t max_string_size = max_object_size;
    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) { return true; }
    bool on_object_end(std::size_t, json::error_code&) { return true; }
    bool on_array_begin(json::error_code&) { return true; }
    bool on_array_end(std::size_t, json::error_code&) { return true; }
    bool on_key_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_key(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
    bool on_double(double, json::string_view, json::error_code&) { return true; }
    bool on_bool(bool, json::error_code&) { return true; }
    bool on_null(json::error_code&) { return true; }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }
};

/// "" when the text is JSON, else what is wrong with it.
std::string json_problem(std::string_view text) {
    json::parse_options options;
    options.max_depth = FrameLimits().max_depth;
    json::basic_parser<NoHandler> parser(options);
    json::error_code error;
    const auto size = parser.write_some(false, text.data(), text.size(), error);
    if (!error && size == text.size())
        return {};
    return "not JSON: " + (error ? error.message() : std::string("something follows it"));
}

std::string member(const char* name, std::string_view text) {
    return ",\"" + std::string(name) + "\":" + json_bytes(text);
}

std::string line_head(std::int64_t us, std::int64_t wall_us) {
    return "{\"us\":" + std::to_string(us) + ",\"wall_us\":" + std::to_string(wall_us);
}

} // namespace

std::string json_bytes(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte >= 0x7f) {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            if (c == '"' || c == '\\')
                out += '\\';
            out += c;
        }
    }
    return out += '"';
}

WireLines::WireLines(Redaction redaction, FrameLimits limits)
    : redaction_(std::move(redaction)), limits_(limits), sent_{FrameSplitter(limits)},
      received_{FrameSplitter(limits)} {}

std::string WireLines::header(std::int64_t us, std::int64_t wall_us) {
    return line_head(us, wall_us) + ",\"kind\":\"log\",\"version\":" + std::to_string(version) +
           ",\"pid\":" + std::to_string(::getpid()) + "}\n";
}

std::vector<std::string> WireLines::add(const WireChunk& chunk, std::uint64_t connection) {
    std::vector<std::string> lines;
    const auto head =
        line_head(chunk.us, chunk.wall_us) + ",\"conn\":" + std::to_string(connection);
    const auto happened = [&](const char* kind, const std::string& members) {
        lines.push_back(head + ",\"kind\":\"" + kind + '"' + members + "}\n");
    };
    switch (chunk.kind) {
    case WireChunk::Kind::connect:
        happened("connect", member("where", chunk.bytes));
        break;
    case WireChunk::Kind::sent:
        frames(sent_, chunk.bytes, head, "sent", lines);
        break;
    case WireChunk::Kind::received:
        frames(received_, chunk.bytes, head, "received", lines);
        break;
    case WireChunk::Kind::synthesised: {
        Stream alone{FrameSplitter(limits_)};
        frames(alone, chunk.bytes, head, "synthesised", lines);
        break;
    }
    case WireChunk::Kind::gap:
        for (auto* stream : {&sent_, &received_})
            *stream = {FrameSplitter(limits_), true};
        happened("gap", ",\"bytes\":" + std::to_string(chunk.missing) + member("why", chunk.bytes));
        break;
    case WireChunk::Kind::lost:
    case WireChunk::Kind::closed:
        torn(sent_, head, "sent", lines);
        torn(received_, head, "received", lines);
        happened(chunk.kind == WireChunk::Kind::lost ? "lost" : "closed",
                 chunk.bytes.empty() ? "" : member("why", chunk.bytes));
        break;
    }
    return lines;
}

void WireLines::frames(Stream& stream, std::string_view bytes, const std::string& head,
                       const char* kind, std::vector<std::string>& lines) {
    if (stream.resync) {
        const auto end = bytes.find('\n');
        if (end == std::string_view::npos)
            return;
        stream.resync = false;
        bytes.remove_prefix(end + 1);
    }
    stream.splitter.feed(bytes);
    while (const auto frame = stream.splitter.next())
        lines.push_back(head + ",\"kind\":\"" + kind + '"' + message_members(*frame) + "}\n");
}

std::string WireLines::message_members(const Frame& frame) const {
    switch (frame.fault) {
    case FrameFault::too_long:
        return text_members(frame.text, "longer than " + std::to_string(limits_.max_bytes) +
                                            " bytes; this is its beginning");
    case FrameFault::too_deep:
        return text_members(frame.text, "nested deeper than " + std::to_string(limits_.max_depth) +
                                            "; this is its beginning");
    case FrameFault::stray:
        return text_members(frame.text, "not JSON: it begins no object or array");
    case FrameFault::none:
        break;
    }
    if (auto problem = json_problem(frame.text); !problem.empty())
        return text_members(frame.text, std::move(problem));
    auto text = redaction_.empty() ? std::string(frame.text) : redaction_.apply(frame.text);
    // In valid JSON a line break only stands between tokens, where a space means the same.
    std::ranges::replace_if(
        text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return ",\"message\":" + text;
}

std::string WireLines::text_members(std::string_view text, std::string why) const {
    // What can't be parsed can't be searched for the members to hide either.
    if (!redaction_.empty())
        return ",\"bytes\":" + std::to_string(text.size()) +
               member("why", why + " (withheld: qmp_log_redact is set)");
    return member("text", text) + member("why", why);
}

void WireLines::torn(Stream& stream, const std::string& head, const char* direction,
                     std::vector<std::string>& lines) {
    const auto rest = stream.splitter.partial();
    if (rest.empty())
        return;
    lines.push_back(head + ",\"kind\":\"torn\",\"direction\":\"" + direction + '"' +
                    text_members(rest.substr(0, torn_excerpt),
                                 "incomplete, " + std::to_string(rest.size()) + " bytes of it") +
                    "}\n");
    stream.splitter = FrameSplitter(limits_);
}

} // namespace kata_vfio::qemu
