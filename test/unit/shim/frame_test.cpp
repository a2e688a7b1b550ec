// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/ttrpc/frame.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace kata_vfio::shim::ttrpc {
namespace {

Frame request(std::uint32_t stream, std::string payload) {
    Frame frame;
    frame.stream = stream;
    frame.payload = std::move(payload);
    return frame;
}

TEST(TtrpcFrame, IsAsTtrpcHasIt) {
    EXPECT_EQ(encode(request(3, "ab")), std::string("\0\0\0\2\0\0\0\3\1\0ab", 12));
}

TEST(TtrpcFrame, ComesThroughInPiecesOfEverySize) {
    const auto bytes = encode(request(1, "")) + encode(request(3, std::string(5000, 'x')));
    for (std::size_t piece = 1; piece < 40; ++piece) {
        FrameReader reader;
        std::vector<Frame> frames;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            reader.feed(std::string_view(bytes).substr(at, piece));
            while (auto frame = reader.next())
                frames.push_back(*frame);
        }
        ASSERT_EQ(frames.size(), 2u) << piece;
        EXPECT_EQ(frames[0].stream, 1u);
        EXPECT_EQ(frames[1].payload.size(), 5000u);
        EXPECT_EQ(reader.pending(), 0u);
    }
}

TEST(TtrpcFrame, OneThatIsTooLongIsSkippedAndTheNextTaken) {
    const std::uint32_t length = max_payload + 1;
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(length >> shift & 0xff));
    bytes += std::string("\0\0\0\5\1\0", 6);
    for (const std::size_t piece : {1000u, 70000u, 8000000u}) {
        FrameReader reader;
        const auto all = bytes + std::string(length, 'x') + encode(request(7, "next"));
        std::vector<Frame> frames;
        for (std::size_t at = 0; at < all.size(); at += piece) {
            reader.feed(std::string_view(all).substr(at, piece));
            while (auto frame = reader.next())
                frames.push_back(*frame);
            if (piece < 100000) {
                EXPECT_LE(reader.pending(), 2 * piece); // nothing of it is kept
            }
        }
        ASSERT_EQ(frames.size(), 2u);
        EXPECT_TRUE(frames[0].too_long);
        EXPECT_EQ(frames[0].stream, 5u);
        EXPECT_EQ(frames[1].payload, "next");
    }
}

TEST(TtrpcFrame, ThatIsTooLongIsNotSent) {
    EXPECT_THROW(encode(request(1, std::string(max_payload + 1, 'x'))), std::length_error);
    EXPECT_NO_THROW(encode(request(1, std::string(max_payload, 'x'))));
}

} // namespace
} // namespace kata_vfio::shim::ttrpc
