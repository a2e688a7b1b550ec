// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/frame.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace kata_vfio::agent {
namespace {

std::vector<Frame> read_all(Sender peer, std::string_view bytes, std::size_t piece) {
    FrameReader reader(peer);
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        reader.feed(bytes.substr(at, piece));
        while (auto frame = reader.next())
            frames.push_back(*frame);
    }
    return frames;
}

TEST(AgentFrame, ComesThroughInPiecesOfEverySize) {
    const auto bytes = encode(FrameType::hello, 0, "{}") +
                       encode(FrameType::stdout_data, 7, std::string(300, 'x')) +
                       encode(FrameType::stdout_end, 7) +
                       encode(FrameType::exited, 7, number_payload(137));
    for (const std::size_t piece : {1u, 2u, 8u, 9u, 10u, 100u, 10000u}) {
        const auto frames = read_all(Sender::guest, bytes, piece);
        ASSERT_EQ(frames.size(), 4u) << piece;
        EXPECT_EQ(frames[1].type, FrameType::stdout_data);
        EXPECT_EQ(frames[1].process, 7u);
        EXPECT_EQ(frames[1].payload, std::string(300, 'x'));
        EXPECT_EQ(payload_number(frames[3]), 137u);
    }
}

TEST(AgentFrame, RefusesWhatTheOtherEndDoesNotSend) {
    for (const auto type : {FrameType::request, FrameType::stdin_data, FrameType::stdout_credit}) {
        FrameReader reader(Sender::guest);
        reader.feed(encode(type, 1, "1234"));
        EXPECT_THROW(reader.next(), ProtocolError);
    }
    FrameReader reader(Sender::host);
    reader.feed(encode(FrameType::hello, 0, "{}"));
    EXPECT_THROW(reader.next(), ProtocolError);
}

TEST(AgentFrame, RefusesEveryTypeThatThereIsNot) {
    for (int type = 0; type < 256; ++type) {
        if (type >= 16 && type <= 25)
            continue;
        FrameReader reader(Sender::guest);
        reader.feed(encode(static_cast<FrameType>(type), 0, "1234"));
        EXPECT_THROW(reader.next(), ProtocolError) << type;
    }
}

TEST(AgentFrame, RefusesALengthByTheHeaderAlone) {
    // No byte of the payload is there yet: nothing is waited for, and nothing kept.
    for (const auto& header :
         {std::string("\xff\xff\xff\xff\x11\0\0\0\0", 9),
          std::string("\0\x10\0\x01\x11\0\0\0\0", 9), std::string("\0\0\x80\x01\x12\0\0\0\1", 9),
          std::string("\0\0\0\5\x17\0\0\0\1", 9), std::string("\0\0\0\1\x14\0\0\0\1", 9),
          std::string("\0\0\0\3\x19\0\0\0\1", 9)}) {
        FrameReader reader(Sender::guest);
        reader.feed(header);
        EXPECT_THROW(reader.next(), ProtocolError);
    }
}

TEST(AgentFrame, TakesTheLargestOfEachKind) {
    FrameReader reader(Sender::guest);
    reader.feed(encode(FrameType::stdout_data, 1, std::string(max_data, 'x')));
    EXPECT_TRUE(reader.next());
    reader.feed(encode(FrameType::reply, 0, std::string(max_control, ' ')));
    EXPECT_TRUE(reader.next());
}

} // namespace
} // namespace kata_vfio::agent
