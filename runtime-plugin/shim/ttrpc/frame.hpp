// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::shim::ttrpc {

/// containerd/ttrpc, channel.go: messageLengthMax. A longer one is refused by both ends.
inline constexpr std::size_t max_payload = 4u << 20;

enum class FrameType : std::uint8_t { request = 1, response = 2, data = 3 };

/// One message: 10 bytes of header (length and stream id, big-endian; type; flags), then the
/// payload.
struct Frame {
    std::uint32_t stream = 0; ///< odd: opened by the client
    FrameType type = FrameType::request;
    std::uint8_t flags = 0; ///< of streaming calls; unary ones have none
    /// The sender's length was over max_payload: the payload was skipped, not kept.
    bool too_long = false;
    std::string payload;
};

/// Throws std::length_error when the payload is over max_payload.
std::string encode(const Frame& frame);

/// Bytes of a connection -> frames. Sans-io, single-threaded. Holds at most one payload and what
/// was fed beyond it; the payload of a frame that is too long is dropped as it comes, so that the
/// connection goes on and its one call can be answered.
class FrameReader {
  public:
    void feed(std::string_view bytes);
    /// The next whole frame; nullopt when more bytes are needed.
    std::optional<Frame> next();
    /// Bytes of a frame that is not whole yet.
    std::size_t pending() const noexcept { return buffer_.size() - begin_; }

  private:
    std::string buffer_;
    std::size_t begin_ = 0;
    std::uint64_t skipping_ = 0; ///< bytes still to come of a payload that is too long
    Frame skipped_;
};

} // namespace kata_vfio::shim::ttrpc
