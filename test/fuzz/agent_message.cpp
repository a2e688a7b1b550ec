// SPDX-License-Identifier: Apache-2.0
// The agent's protocol, read by either end: the same frames whole and in pieces, none over its
// type's limit, and messages that are written as they were read. The first byte says who sends.
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

using namespace kata_vfio::agent;

namespace kata_vfio::fuzz {
namespace {

struct Read {
    std::vector<Frame> frames;
    bool broken = false;
};

Read read(std::string_view bytes, Sender sender, std::size_t piece) {
    Read all;
    FrameReader reader(sender);
    try {
        while (!bytes.empty()) {
            const auto part = bytes.substr(0, piece);
            bytes.remove_prefix(part.size());
            reader.feed(part);
            while (auto frame = reader.next())
                all.frames.push_back(std::move(*frame));
        }
    } catch (const ProtocolError&) {
        all.broken = true;
    }
    return all;
}

bool is_control(FrameType type) {
    return type == FrameType::request || type == FrameType::hello || type == FrameType::reply;
}

/// nullopt: refused, the documented way.
template <class F>
auto taken(F&& parse) -> std::optional<decltype(parse())> {
    try {
        return parse();
    } catch (const ProtocolError& error) {
        require(*error.what() != '\0', "a refusal says what is wrong");
        return std::nullopt;
    }
}

/// What was taken is written as what is taken as the same.
template <class Message, class Parse>
void comes_back(const Message& message, Parse&& parse) {
    const auto text = to_payload(message);
    const auto again = taken([&] { return parse(text); });
    require(again.has_value() && to_payload(*again) == text, "written as it was read");
}

void check(const Frame& frame) {
    require(frame.payload.size() <= (is_control(frame.type) ? max_control : max_data),
            "within the limit of its type");
    switch (frame.type) {
    case FrameType::request:
        if (const auto request = taken([&] { return parse_request(frame.payload); }))
            comes_back(*request, parse_request);
        return;
    case FrameType::hello:
        if (const auto hello = taken([&] { return parse_hello(frame.payload); }))
            comes_back(*hello, parse_hello);
        return;
    case FrameType::reply:
        if (const auto reply = taken([&] { return parse_reply(frame.payload); })) {
            comes_back(*reply, parse_reply);
            taken([&] { return parse_device_report(reply->value); });
            taken([&] { return parse_usage(reply->value); });
            taken([&] { return parse_pids(reply->value); });
        }
        return;
    case FrameType::exited:
    case FrameType::stdin_credit:
    case FrameType::stdout_credit:
    case FrameType::stderr_credit:
        require(number_payload(payload_number(frame)) == frame.payload, "a number is its 4 bytes");
        return;
    default:
        return;
    }
}

} // namespace

void one(std::string_view bytes) {
    if (bytes.empty())
        return;
    const auto sender = bytes.front() & 1 ? Sender::host : Sender::guest;
    bytes.remove_prefix(1);
    const auto whole = read(bytes, sender, bytes.size());
    std::string written;
    for (const auto& frame : whole.frames) {
        check(frame);
        written += encode(frame);
    }
    require(bytes.starts_with(written), "frames are encoded as they came");
    for (const std::size_t piece : {1, 7, 64}) {
        const auto pieces = read(bytes, sender, piece);
        require(pieces.broken == whole.broken && pieces.frames.size() == whole.frames.size(),
                "the same in pieces as whole");
    }
}

} // namespace kata_vfio::fuzz
