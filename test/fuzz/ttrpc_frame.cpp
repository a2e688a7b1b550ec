// SPDX-License-Identifier: Apache-2.0
// A ttrpc connection's bytes: the same frames whole and in pieces, one that is too long skipped and
// told, and nothing kept of it.
#include "runtime-plugin/shim/ttrpc/frame.hpp"
#include "test/fuzz/fuzz.hpp"

#include <string>
#include <vector>

using namespace kata_vfio::shim::ttrpc;

namespace kata_vfio::fuzz {
namespace {

struct Read {
    std::vector<Frame> frames;
    std::size_t pending = 0;
};

Read read(std::string_view bytes, std::size_t piece) {
    Read all;
    FrameReader reader;
    while (!bytes.empty()) {
        const auto part = bytes.substr(0, piece);
        bytes.remove_prefix(part.size());
        reader.feed(part);
        while (auto frame = reader.next())
            all.frames.push_back(std::move(*frame));
        require(reader.pending() <= max_payload + 10, "at most one payload is kept");
    }
    all.pending = reader.pending();
    return all;
}

bool same(const Frame& a, const Frame& b) {
    return a.stream == b.stream && a.type == b.type && a.flags == b.flags &&
           a.too_long == b.too_long && a.payload == b.payload;
}

} // namespace

void one(std::string_view bytes) {
    const auto whole = read(bytes, bytes.size());
    std::string written;
    bool skipped = false;
    for (const auto& frame : whole.frames) {
        require(frame.payload.size() <= max_payload, "no payload is over the limit");
        require(!frame.too_long || frame.payload.empty(), "nothing is kept of one too long");
        skipped = skipped || frame.too_long;
        if (!skipped)
            written += encode(frame);
    }
    require(bytes.starts_with(written), "frames are encoded as they came");
    for (const std::size_t piece : {1, 9, 64}) {
        const auto pieces = read(bytes, piece);
        require(pieces.frames.size() == whole.frames.size() && pieces.pending == whole.pending,
                "as many in pieces as whole");
        for (std::size_t i = 0; i < whole.frames.size(); ++i)
            require(same(whole.frames[i], pieces.frames[i]), "the same in pieces as whole");
    }
}

} // namespace kata_vfio::fuzz
