// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_program.hpp"

#include "test/unit/plugin/device_programs.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace kata_vfio::plugin {
namespace {

using namespace bpf;

DeviceAccess open_of(std::uint32_t major, std::uint32_t minor) {
    DeviceAccess access;
    access.major = major;
    access.minor = minor;
    return access;
}

TEST(DeviceProgram, AsSystemdWritesIt) {
    // DevicePolicy=closed, DeviceAllow=/dev/vfio/vfio rw, DeviceAllow=char-vfio rwm.
    const auto program = systemd_program({{'c', 10, 196, 6}, {'c', 241, std::nullopt, 7}});
    EXPECT_EQ(run_program(program, open_of(10, 196)), Judgement::allowed);
    EXPECT_EQ(run_program(program, open_of(241, 7)), Judgement::allowed);
    EXPECT_EQ(run_program(program, open_of(10, 197)), Judgement::denied);
    EXPECT_EQ(run_program(program, open_of(8, 0)), Judgement::denied);
    auto other = open_of(241, 7);
    other.block = true;
    EXPECT_EQ(run_program(program, other), Judgement::denied);
    other = open_of(10, 196);
    other.make = true; // of which the first rule says nothing
    EXPECT_EQ(run_program(program, other), Judgement::denied);
    // "r" alone does not open what is opened for both.
    EXPECT_EQ(run_program(systemd_program({{'c', 10, 196, 2}}), open_of(10, 196)),
              Judgement::denied);
    EXPECT_EQ(run_program(systemd_program({}), open_of(10, 196)), Judgement::denied);
}

TEST(DeviceProgram, AsRuncWritesIt) {
    // The default of a container, and the last rule goes first: "c 241:9 rwm" is taken away.
    const auto program = runc_program({{'c', 241, 9, 7, false},
                                       {'c', 241, std::nullopt, 7, true},
                                       {'c', 10, 196, 7, true},
                                       {'c', std::nullopt, std::nullopt, 1, true}},
                                      false);
    EXPECT_EQ(run_program(program, open_of(241, 7)), Judgement::allowed);
    EXPECT_EQ(run_program(program, open_of(241, 9)), Judgement::denied);
    EXPECT_EQ(run_program(program, open_of(10, 196)), Judgement::allowed);
    EXPECT_EQ(run_program(program, open_of(10, 197)), Judgement::denied);
    EXPECT_EQ(run_program(runc_program({}, true), open_of(1, 2)), Judgement::allowed);
}

TEST(DeviceProgram, TheAccessTypeInHalvesAndBytes) {
    for (const auto& [width, offset, wanted] : {std::tuple(BPF_B, 0, 2),
                                                {BPF_H, 0, 2},
                                                {BPF_B, 2, 6},
                                                {BPF_H, 2, 6},
                                                {BPF_W, 0, 0x60002}})
        EXPECT_EQ(run_program({{load(width, 2, 1, offset), jump_if(BPF_JNE, 2, wanted, 2),
                                set(0, 1), leave(), set(0, 0), leave()}},
                              open_of(1, 2)),
                  Judgement::allowed)
            << offset;
}

/// The program leaves with 1 where the arithmetic gives `wanted`.
void expect_result(std::vector<Instruction> program, std::int32_t wanted) {
    program.insert(program.end(),
                   {jump_if(BPF_JNE, 2, wanted, 2), set(0, 1), leave(), set(0, 0), leave()});
    EXPECT_EQ(run_program(program, open_of(1, 2)), Judgement::allowed) << wanted;
}

TEST(DeviceProgram, Arithmetic) {
    const auto alu = [](int operation, std::int32_t with) {
        return Instruction{static_cast<std::uint8_t>(BPF_ALU64 | BPF_K | operation), 2, 0, 0, with};
    };
    const auto alu32 = [](int operation, std::int32_t with) {
        return Instruction{static_cast<std::uint8_t>(BPF_ALU | BPF_K | operation), 2, 0, 0, with};
    };
    expect_result({set(2, 5), alu(BPF_ADD, -7)}, -2);
    expect_result({set(2, 5), alu(BPF_SUB, 7), alu(BPF_RSH, 63)}, 1);
    expect_result({set(2, -8), alu(BPF_ARSH, 1)}, -4);
    expect_result({set(2, 7), alu(BPF_MUL, 6), alu(BPF_DIV, 4)}, 10);
    expect_result({set(2, 7), alu(BPF_DIV, 0)}, 0); // as the kernel has it
    expect_result({set(2, 7), alu(BPF_MOD, 0)}, 7);
    expect_result({set(2, 7), alu(BPF_MOD, 4)}, 3);
    expect_result({set(2, 6), alu(BPF_OR, 9), alu(BPF_XOR, 5), alu(BPF_AND, 14)}, 10);
    expect_result({set(2, 1), alu(BPF_LSH, 65)}, 2); // masked
    expect_result({set(2, 1), alu(BPF_NEG, 0)}, -1);
    // 32 bits leave nothing above them.
    expect_result({set(2, -1), alu32(BPF_ADD, 1)}, 0);
    expect_result({set(2, -1), alu32(BPF_MOV, -1), alu(BPF_RSH, 31)}, 1);
    expect_result({set(2, 1), alu32(BPF_LSH, 33)}, 2);
}

TEST(DeviceProgram, JumpsByBothSizesAndSigns) {
    const auto taken = [](Instruction jump, std::int32_t left) {
        return run_program({{set(2, left), jump, set(0, 0), leave(), set(0, 1), leave()}},
                           open_of(1, 2)) == Judgement::allowed;
    };
    EXPECT_TRUE(taken(jump_if(BPF_JGT, 2, 1, 2), -1));
    EXPECT_FALSE(taken(jump_if(BPF_JSGT, 2, 1, 2), -1));
    EXPECT_TRUE(taken(jump_if(BPF_JSLT, 2, 1, 2), -1));
    EXPECT_TRUE(taken(jump_if(BPF_JSLE, 2, 1, 2), 1));
    EXPECT_TRUE(taken(jump_if(BPF_JSGE, 2, 1, 2), 1));
    EXPECT_TRUE(taken(jump_if(BPF_JLT, 2, 3, 2), 2));
    EXPECT_TRUE(taken(jump_if(BPF_JLE, 2, 2, 2), 2));
    EXPECT_TRUE(taken(jump_if(BPF_JGE, 2, 2, 2), 2));
    EXPECT_TRUE(taken(jump_if(BPF_JSET, 2, 4, 2), 6));
    EXPECT_FALSE(taken(jump_if(BPF_JSET, 2, 1, 2), 6));
    // -1 of 64 bits is not 0xffffffff, of 32 bits it is.
    auto wide = jump_if(BPF_JEQ, 2, -1, 2), narrow = wide;
    narrow.code = BPF_JMP32 | BPF_K | BPF_JEQ;
    const Instruction truncate{BPF_ALU | BPF_K | BPF_MOV, 2, 0, 0, -1};
    for (const auto& [jump, expected] :
         {std::pair(wide, Judgement::denied), {narrow, Judgement::allowed}})
        EXPECT_EQ(
            run_program({{truncate, jump, set(0, 0), leave(), set(0, 1), leave()}}, open_of(1, 2)),
            expected);
}

TEST(DeviceProgram, SpillsToTheStackAndBack) {
    const Instruction spill{BPF_STX | BPF_MEM | BPF_W, 10, 2, -4, 0};
    const Instruction constant{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 1};
    EXPECT_EQ(
        run_program({{load(BPF_W, 2, 1, 4), spill, constant, load(BPF_W, 3, 10, -4),
                      load(BPF_DW, 0, 10, -16), jump_if(BPF_JEQ, 3, 241, 1), set(0, 0), leave()}},
                    open_of(241, 7)),
        Judgement::allowed);
    // Never written, and outside.
    for (const int offset : {-8, -2, 0, -513})
        EXPECT_EQ(run_program({{load(BPF_W, 2, 1, 4), spill, load(BPF_W, 0, 10, offset), leave()}},
                              open_of(241, 7)),
                  Judgement::unknown)
            << offset;
}

TEST(DeviceProgram, AConstantOfTwoInstructions) {
    const Instruction low{BPF_LD | BPF_IMM | BPF_DW, 2, 0, 0, 5}, high{0, 0, 0, 0, 1};
    const Instruction shift{BPF_ALU64 | BPF_K | BPF_RSH, 2, 0, 0, 32};
    expect_result({low, high, shift}, 1);
    auto map = low;
    map.src = BPF_PSEUDO_MAP_FD;
    EXPECT_EQ(run_program({{map, high, set(0, 1), leave()}}, {}), Judgement::unknown);
    EXPECT_EQ(run_program({{low}}, {}), Judgement::unknown); // cut off
}

TEST(DeviceProgram, WhatItDoesNotKnowIsUnknown) {
    const auto unknown = [](std::vector<Instruction> program) {
        return run_program(program, open_of(241, 7)) == Judgement::unknown;
    };
    EXPECT_TRUE(unknown({}));
    EXPECT_TRUE(unknown({set(0, 1)}));                                          // no end
    EXPECT_TRUE(unknown({leave()}));                                            // r0 never set
    EXPECT_TRUE(unknown({{BPF_ALU64 | BPF_X | BPF_MOV, 0, 1, 0, 0}, leave()})); // a pointer
    EXPECT_TRUE(unknown({{BPF_JMP | BPF_CALL, 0, 0, 0, 14}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_ALU | BPF_END, 0, 0, 0, 16}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_JMP | BPF_JA, 0, 0, -5, 0}})); // in front of it
    EXPECT_TRUE(unknown({{BPF_JMP | BPF_JA, 0, 0, 5, 0}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_JMP | BPF_JA, 0, 0, -1, 0}})); // never ends
    EXPECT_TRUE(unknown({{BPF_JMP32 | BPF_JA, 0, 0, 0, 0}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({load(BPF_DW, 2, 1, 0), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({load(BPF_W, 2, 1, 12), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({load(BPF_W, 2, 1, -4), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({load(BPF_W, 2, 3, 0), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_STX | BPF_MEM | BPF_W, 1, 10, 0, 0}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_ST | BPF_MEM | BPF_W, 1, 0, 0, 0}, set(0, 1), leave()}));
    EXPECT_TRUE(unknown({set(10, 1), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({set(13, 1), set(0, 1), leave()}));
    EXPECT_TRUE(unknown({{BPF_STX | BPF_ATOMIC | BPF_W, 10, 2, -4, 0}, set(0, 1), leave()}));
}

TEST(DeviceProgram, HasABudget) {
    const std::vector<Instruction> program{set(2, 1), set(0, 1), leave()};
    EXPECT_EQ(run_program(program, {}, 3), Judgement::allowed);
    EXPECT_EQ(run_program(program, {}, 2), Judgement::unknown);
}

TEST(ParseProgram, EightBytesEach) {
    const bpf_insn raw[] = {{BPF_LDX | BPF_MEM | BPF_W, 3, 1, -4, 7},
                            {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const std::string_view bytes(reinterpret_cast<const char*>(raw), sizeof raw);
    const auto program = parse_program(bytes);
    ASSERT_TRUE(program);
    EXPECT_EQ(*program,
              (std::vector<Instruction>{{BPF_LDX | BPF_MEM | BPF_W, 3, 1, -4, 7}, leave()}));
    EXPECT_FALSE(parse_program(bytes.substr(1)));
    EXPECT_EQ(parse_program("")->size(), 0u);
}

} // namespace
} // namespace kata_vfio::plugin
