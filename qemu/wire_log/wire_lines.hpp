// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/frame.hpp"
#include "qemu/wire_log/redaction.hpp"
#include "qemu/wire_log/wire_chunk.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// One connection's chunks -> the log's lines (docs/qmp-debugging.md has the format). Pure,
/// single-threaded.
class WireLines {
  public:
    static constexpr int version = 1;
    /// Shown of a message that is not complete.
    static constexpr std::size_t torn_excerpt = 4096;

    explicit WireLines(Redaction redaction, FrameLimits limits = {});

    /// The line every file of the log begins with.
    static std::string header(std::int64_t us, std::int64_t wall_us);

    /// The lines that `chunk` completes, newlines included; `connection` is the number they bear.
    std::vector<std::string> add(const WireChunk& chunk, std::uint64_t connection);

  private:
    struct Stream {
        FrameSplitter splitter;
        /// Behind a gap: what comes up to the next newline is the rest of a message.
        bool resync = false;
    };

    void frames(Stream& stream, std::string_view bytes, const std::string& head, const char* kind,
                std::vector<std::string>& lines);
    void torn(Stream& stream, const std::string& head, const char* direction,
              std::vector<std::string>& lines);
    std::string message_members(const Frame& frame) const;
    /// `"text":"..","why":".."`; without the text when something in it would have to be redacted.
    std::string text_members(std::string_view text, std::string why) const;

    Redaction redaction_;
    FrameLimits limits_;
    Stream sent_, received_;
};

/// Bytes as a JSON string, quotes included, each byte one character (U+0000 to U+00FF): what is no
/// JSON need not be UTF-8 either, and is to be read back to the byte.
std::string json_bytes(std::string_view bytes);

} // namespace kata_vfio::qemu
