// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/frame.hpp"

#include "config/base/big_endian.hpp"

#include <string>

namespace kata_vfio::agent {
namespace {

constexpr std::size_t header_size = 9;

/// Lengths a frame of that type can have; none: `peer` sends no such frame.
struct Bounds {
    std::size_t least, most;
};
std::optional<Bounds> bounds(Sender peer, std::uint8_t type) {
    if ((type < static_cast<std::uint8_t>(FrameType::hello)) != (peer == Sender::host))
        return std::nullopt;
    switch (static_cast<FrameType>(type)) {
    case FrameType::request:
    case FrameType::hello:
    case FrameType::reply:
        return Bounds{2, max_control};
    case FrameType::stdin_data:
    case FrameType::stdout_data:
    case FrameType::stderr_data:
    case FrameType::log:
        return Bounds{1, max_data};
    case FrameType::stdin_end:
    case FrameType::stdout_end:
    case FrameType::stderr_end:
        return Bounds{0, 0};
    case FrameType::stdout_credit:
    case FrameType::stderr_credit:
    case FrameType::stdin_credit:
    case FrameType::exited:
    case FrameType::oom_kills:
        return Bounds{4, 4};
    }
    return std::nullopt;
}

} // namespace

std::string encode(FrameType type, std::uint32_t process, std::string_view payload) {
    std::string out;
    out.reserve(header_size + payload.size());
    put_big_endian(out, static_cast<std::uint32_t>(payload.size()));
    out.push_back(static_cast<char>(type));
    put_big_endian(out, process);
    return out.append(payload);
}

std::string encode(const Frame& frame) {
    return encode(frame.type, frame.process, frame.payload);
}

std::string number_payload(std::uint32_t number) {
    std::string out;
    put_big_endian(out, number);
    return out;
}

std::uint32_t payload_number(const Frame& frame) {
    if (frame.payload.size() != 4)
        throw ProtocolError("a number of " + std::to_string(frame.payload.size()) + " bytes");
    return take_big_endian(frame.payload.data());
}

void FrameReader::feed(std::string_view bytes) {
    if (begin_ > 0 && begin_ >= buffer_.size() / 2) {
        buffer_.erase(0, begin_);
        begin_ = 0;
    }
    buffer_ += bytes;
}

std::optional<Frame> FrameReader::next() {
    if (buffer_.size() - begin_ < header_size)
        return std::nullopt;
    const char* at = buffer_.data() + begin_;
    const std::uint32_t length = take_big_endian(at);
    const auto type = static_cast<std::uint8_t>(at[4]);
    const auto allowed = bounds(peer_, type);
    if (!allowed)
        throw ProtocolError("a frame of type " + std::to_string(type));
    if (length < allowed->least || length > allowed->most)
        throw ProtocolError("a frame of type " + std::to_string(type) + " with " +
                            std::to_string(length) + " bytes");
    if (buffer_.size() - begin_ < header_size + length)
        return std::nullopt;
    Frame frame{static_cast<FrameType>(type), take_big_endian(at + 5),
                std::string(at + header_size, length)};
    begin_ += header_size + length;
    return frame;
}

} // namespace kata_vfio::agent
