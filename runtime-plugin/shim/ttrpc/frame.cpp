// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/ttrpc/frame.hpp"

#include "config/base/big_endian.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace kata_vfio::shim::ttrpc {
namespace {

constexpr std::size_t header_size = 10;

} // namespace

std::string encode(const Frame& frame) {
    if (frame.payload.size() > max_payload)
        throw std::length_error("a ttrpc message of " + std::to_string(frame.payload.size()) +
                                " bytes, " + std::to_string(max_payload) + " at most");
    std::string out;
    out.reserve(header_size + frame.payload.size());
    put_big_endian(out, static_cast<std::uint32_t>(frame.payload.size()));
    put_big_endian(out, frame.stream);
    out.push_back(static_cast<char>(frame.type));
    out.push_back(static_cast<char>(frame.flags));
    return out += frame.payload;
}

void FrameReader::feed(std::string_view bytes) {
    const auto skip = std::min<std::uint64_t>(skipping_, bytes.size());
    skipping_ -= skip;
    bytes.remove_prefix(skip);
    if (begin_ > 0 && begin_ >= buffer_.size() / 2) {
        buffer_.erase(0, begin_);
        begin_ = 0;
    }
    buffer_ += bytes;
}

std::optional<Frame> FrameReader::next() {
    if (skipped_.too_long) {
        if (skipping_ > 0)
            return std::nullopt;
        return std::exchange(skipped_, Frame());
    }
    if (pending() < header_size)
        return std::nullopt;
    const char* at = buffer_.data() + begin_;
    const std::uint32_t length = take_big_endian(at);
    Frame frame;
    frame.stream = take_big_endian(at + 4);
    frame.type = static_cast<FrameType>(at[8]);
    frame.flags = static_cast<std::uint8_t>(at[9]);
    if (length > max_payload) {
        begin_ += header_size;
        const auto here = std::min<std::size_t>(pending(), length);
        begin_ += here;
        skipping_ = length - here;
        frame.too_long = true;
        skipped_ = std::move(frame);
        return next();
    }
    if (pending() < header_size + length)
        return std::nullopt;
    frame.payload.assign(at + header_size, length);
    begin_ += header_size + length;
    return frame;
}

} // namespace kata_vfio::shim::ttrpc
