// SPDX-License-Identifier: Apache-2.0
// The frame splitter: the same frames whether the bytes come at once or in pieces, nothing kept
// over the limit, and what it calls a message is framed as one.
#include "qemu/qmp/frame.hpp"
#include "test/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {
namespace {

constexpr std::size_t whole = SIZE_MAX; ///< one piece

struct Got {
    FrameFault fault;
    std::string text;
};

/// In pieces of 1 to `longest` bytes, at places that depend on the input alone.
std::vector<Got> split(std::string_view bytes, std::size_t longest, const FrameLimits& limits) {
    std::uint64_t state = 0xcbf29ce484222325u;
    for (const unsigned char c : bytes)
        state = (state ^ c) * 0x100000001b3u;
    FrameSplitter splitter(limits);
    std::vector<Got> all;
    while (!bytes.empty()) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const auto size = std::min<std::size_t>(
            longest == whole ? whole : (state >> 33) % longest + 1, bytes.size());
        splitter.feed(bytes.substr(0, size));
        bytes.remove_prefix(size);
        while (const auto frame = splitter.next())
            all.push_back({frame->fault, std::string(frame->text)});
        require(splitter.partial().size() <= std::max<std::size_t>(limits.max_bytes, 256),
                "nothing is kept over the limit");
    }
    return all;
}

void compare(const std::vector<Got>& at_once, const std::vector<Got>& pieces) {
    require(at_once.size() == pieces.size(), "as many frames in pieces as at once");
    for (std::size_t i = 0; i < at_once.size(); ++i) {
        require(at_once[i].fault == pieces[i].fault, "the same faults in pieces as at once");
        // Of stray bytes the text is "what is there of them", so in pieces perhaps less.
        require(at_once[i].fault == FrameFault::stray ? at_once[i].text.starts_with(pieces[i].text)
                                                      : at_once[i].text == pieces[i].text,
                "the same texts in pieces as at once");
    }
}

} // namespace

void one(std::string_view bytes) {
    for (const auto& limits : {FrameLimits(), FrameLimits(48, 4), FrameLimits(300, 4)}) {
        const auto at_once = split(bytes, whole, limits);
        for (const auto& frame : at_once) {
            require(!frame.text.empty(), "no frame is empty");
            const bool opens = frame.text.front() == '{' || frame.text.front() == '[';
            require(opens == (frame.fault != FrameFault::stray), "a message begins as one");
            if (frame.fault == FrameFault::none)
                require((frame.text.back() == '}' || frame.text.back() == ']') &&
                            frame.text.size() <= limits.max_bytes,
                        "a message ends as one and is within the limit");
        }
        for (const std::size_t longest : {1, 7, 64})
            compare(at_once, split(bytes, longest, limits));
    }
}

} // namespace kata_vfio::fuzz
