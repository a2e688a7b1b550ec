// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// White space between the tokens of JSON (RFC 8259, section 2).
constexpr bool is_json_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// What one message of the peer may cost us. QEMU's largest ordinary reply, query-qmp-schema, is
/// about 240 KB; its own parser's depth limit is 1024 (qobject/json-streamer.c).
struct FrameLimits {
    std::size_t max_bytes = 16u << 20;
    std::size_t max_depth = 1024;

    // Not an aggregate on purpose: g++ 12 destroys aggregate temporaries in co_await twice.
    FrameLimits() {}
    FrameLimits(std::size_t bytes, std::size_t depth) : max_bytes(bytes), max_depth(depth) {}
};

enum class FrameFault {
    none,
    too_long, ///< longer than max_bytes; text is its beginning
    too_deep, ///< nested deeper than max_depth; text is its beginning
    stray,    ///< bytes that begin no JSON object or array; text is what is there of them
};

struct Frame {
    FrameFault fault = FrameFault::none;
    std::string_view text; ///< valid until the next call on the splitter
};

/// Bytes of a stream -> JSON texts. Sans-io, single-threaded.
///
/// Framed by nesting and strings, not by lines: QEMU ends a message with CRLF, but with
/// `-mon ...,pretty=on` spreads it over many lines (monitor/qmp.c), and a peer may send several in
/// one packet or one in many. Whether the text *is* JSON is for the message parser to say.
///
/// A message over a limit is skipped to its end without being kept and reported once, so it costs
/// one command, not the session and not the memory. Stray bytes are reported once, then skipped up
/// to the end of the line or the next '{' or '['.
class FrameSplitter {
  public:
    explicit FrameSplitter(FrameLimits limits = {}) : limits_(limits) {}

    void feed(std::string_view bytes);

    /// The next complete message or fault; nullopt when more bytes are needed.
    std::optional<Frame> next();

    /// What has arrived of a message that is not complete yet ("" when between messages), for the
    /// text of an error when the stream ends here.
    std::string_view partial() const noexcept;

  private:
    Frame take(std::size_t end, FrameFault fault);

    FrameLimits limits_;
    std::string buffer_;
    std::size_t begin_ = 0; ///< first byte not handed out
    std::size_t scan_ = 0;  ///< first byte not looked at
    std::size_t depth_ = 0;
    std::size_t skipped_ = 0; ///< bytes of the current message already thrown away
    bool in_string_ = false;
    bool escaped_ = false;
    bool in_stray_ = false;
    FrameFault skipping_ = FrameFault::none;
};

} // namespace kata_vfio::qemu
