// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// What a BPF program of type cgroup_device (cgroup version 2) says of a device, without asking the
/// kernel to run it: the program is worked through here, over the three words it is given.
namespace kata_vfio::plugin {

/// One instruction as the kernel has it. Source: kernel Documentation/bpf/instruction-set.rst and
/// struct bpf_insn of linux/bpf.h.
struct Instruction {
    std::uint8_t code = 0;
    std::uint8_t dst = 0; ///< a register, 0 to 10
    std::uint8_t src = 0;
    std::int16_t offset = 0;
    std::int32_t immediate = 0;

    bool operator==(const Instruction&) const = default;
};

/// 8 bytes each, in this machine's order; nullopt where the length is no multiple of that.
std::optional<std::vector<Instruction>> parse_program(std::string_view bytes);

/// An access to a device: struct bpf_cgroup_dev_ctx of linux/bpf.h.
struct DeviceAccess {
    bool block = false;
    bool read = true, write = true, make = false;
    std::uint32_t major = 0, minor = 0;
};

enum class Judgement { allowed, denied, unknown };
std::ostream& operator<<(std::ostream& out, Judgement judgement);

/// As many instructions as the kernel's verifier itself follows at most.
inline constexpr std::size_t program_budget = 1'000'000;

/// Runs the program. It knows loads from the context and the stack, arithmetic, jumps and exit,
/// which is what systemd, runc and crun write; anything else it comes by (a call, a map, a pointer
/// that is calculated with, a register never set) makes it unknown: nothing is guessed. Nothing
/// that a program does has an effect outside. [any-thread]
Judgement run_program(std::span<const Instruction> program, const DeviceAccess& access,
                      std::size_t budget = program_budget);

} // namespace kata_vfio::plugin
