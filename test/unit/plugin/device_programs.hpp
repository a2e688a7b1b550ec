// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/device_program.hpp"

#include <linux/bpf.h>

#include <optional>
#include <vector>

/// Device programs of cgroup version 2 as service managers and runtimes write them.
namespace kata_vfio::plugin::bpf {

inline Instruction load(int size, int to, int from, int offset) {
    return {static_cast<std::uint8_t>(BPF_LDX | BPF_MEM | size), static_cast<std::uint8_t>(to),
            static_cast<std::uint8_t>(from), static_cast<std::int16_t>(offset), 0};
}
inline Instruction set(int to, std::int32_t value) {
    return {BPF_ALU64 | BPF_K | BPF_MOV, static_cast<std::uint8_t>(to), 0, 0, value};
}
inline Instruction jump_if(int operation, int left, std::int32_t right, int over) {
    return {static_cast<std::uint8_t>(BPF_JMP | BPF_K | operation), static_cast<std::uint8_t>(left),
            0, static_cast<std::int16_t>(over), right};
}
inline Instruction leave() {
    return {BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
}

struct ProgramRule {
    char type = 'c';
    std::optional<int> major, minor;
    int access = 7; ///< BPF_DEVCG_ACC_*: 1 mknod, 2 read, 4 write
    bool allow = true;
};

/// Type to r2, access to r3, major to r4, minor to r5.
inline std::vector<Instruction> prologue() {
    return {load(BPF_H, 2, 1, 0),
            load(BPF_W, 3, 1, 0),
            {BPF_ALU | BPF_K | BPF_RSH, 3, 0, 0, 16},
            load(BPF_W, 4, 1, 4),
            load(BPF_W, 5, 1, 8)};
}

/// What both test of a rule; each jump that leaves it is over `end` instructions behind them.
inline std::vector<Instruction> matching(const ProgramRule& rule, int end) {
    std::vector<Instruction> block;
    block.push_back({BPF_ALU | BPF_X | BPF_MOV, 1, 3, 0, 0});
    block.push_back({BPF_ALU | BPF_K | BPF_AND, 1, 0, 0, rule.access});
    block.push_back({BPF_JMP | BPF_X | BPF_JNE, 1, 3, 0, 0});
    block.push_back(
        jump_if(BPF_JNE, 2, rule.type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK, 0));
    if (rule.major)
        block.push_back(jump_if(BPF_JNE, 4, *rule.major, 0));
    if (rule.minor)
        block.push_back(jump_if(BPF_JNE, 5, *rule.minor, 0));
    for (std::size_t i = 0; i < block.size(); ++i)
        if (BPF_CLASS(block[i].code) == BPF_JMP)
            block[i].offset =
                static_cast<std::int16_t>(static_cast<int>(block.size() - i) - 1 + end);
    return block;
}

/// Source: systemd 252, src/core/bpf-devices.c: rules that allow, each ending in a jump to "pass".
inline std::vector<Instruction> systemd_program(const std::vector<ProgramRule>& rules) {
    auto program = prologue();
    std::vector<std::size_t> passes;
    for (const auto& rule : rules) {
        const auto block = matching(rule, 1);
        program.insert(program.end(), block.begin(), block.end());
        passes.push_back(program.size());
        program.push_back({BPF_JMP | BPF_JA, 0, 0, 0, 0});
    }
    program.insert(program.end(), {set(0, 0), {BPF_JMP | BPF_JA, 0, 0, 1, 0}, set(0, 1), leave()});
    for (const auto at : passes)
        program[at].offset = static_cast<std::int16_t>(program.size() - 2 - at - 1);
    return program;
}

/// Source: runc 1.1, libcontainer/cgroups/devices/devicefilter.go (crun's is the same): each rule
/// returns for itself, the last in the list first, then the default.
inline std::vector<Instruction> runc_program(const std::vector<ProgramRule>& rules,
                                             bool otherwise) {
    const auto give = [](bool allow) {
        return Instruction{BPF_ALU | BPF_K | BPF_MOV, 0, 0, 0, allow ? 1 : 0};
    };
    auto program = prologue();
    for (const auto& rule : rules) {
        const auto block = matching(rule, 2);
        program.insert(program.end(), block.begin(), block.end());
        program.insert(program.end(), {give(rule.allow), leave()});
    }
    program.insert(program.end(), {give(otherwise), leave()});
    return program;
}

} // namespace kata_vfio::plugin::bpf
