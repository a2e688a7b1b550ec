// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/device_rules.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "vfio/sysfs_read.hpp"

#include <linux/bpf.h>

#include <cstddef>

namespace kata_vfio::shim {
namespace {

// Linux's Documentation/admin-guide/devices.txt.
constexpr std::uint32_t memory_major = 1, terminal_major = 5, misc_major = 10;
constexpr std::uint32_t vfio_minor = 196, kvm_minor = 232;

constexpr std::uint8_t type_register = 2, major_register = 3, minor_register = 4,
                       access_register = 5;

plugin::Instruction load_word(std::uint8_t into, std::size_t offset) {
    return {BPF_LDX | BPF_MEM | BPF_W, into, 1, static_cast<std::int16_t>(offset), 0};
}
plugin::Instruction with_number(int code, std::uint8_t dst, std::int32_t number,
                                std::int16_t jump = 0) {
    return {static_cast<std::uint8_t>(code), dst, 0, jump, number};
}

} // namespace

std::vector<DeviceRule> qemu_devices(const vfio::HostRoot& root) {
    std::vector<DeviceRule> rules;
    for (const std::uint32_t minor : {3u, 5u, 7u, 8u, 9u}) // null, zero, full, random, urandom
        rules.push_back({memory_major, minor});
    rules.push_back({terminal_major, 0u}); // tty
    rules.push_back({misc_major, kvm_minor});
    rules.push_back({misc_major, vfio_minor});
    bool characters = false;
    const auto devices = read_file(root.proc("devices")).value_or("");
    for (const auto line : split(devices, '\n')) {
        if (line.ends_with("devices:"))
            characters = line.starts_with("Character");
        const auto words = split(trim(line), ' ');
        if (!characters || words.size() != 2 || (words[1] != "vfio" && words[1] != "vfio-dev"))
            continue;
        if (const auto major = vfio::number(words[0]))
            rules.push_back({static_cast<std::uint32_t>(*major), std::nullopt});
    }
    // "10:123"; iommufd has no minor of its own.
    const auto iommu = vfio::attribute(root.sys("class/misc/iommu/dev")).value_or("");
    if (const auto colon = iommu.find(':'); colon != iommu.npos)
        if (const auto minor = vfio::number(iommu.substr(colon + 1)))
            rules.push_back({misc_major, static_cast<std::uint32_t>(*minor)});
    return rules;
}

std::vector<plugin::Instruction> device_program(std::span<const DeviceRule> rules) {
    const plugin::Instruction leave{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
    const auto answer = [](int number) {
        return with_number(BPF_ALU64 | BPF_MOV | BPF_K, 0, number);
    };
    std::vector<plugin::Instruction> allowed;
    for (const auto& rule : rules) {
        allowed.push_back(with_number(BPF_JMP | BPF_JNE | BPF_K, major_register,
                                      static_cast<std::int32_t>(rule.major), rule.minor ? 3 : 2));
        if (rule.minor)
            allowed.push_back(with_number(BPF_JMP | BPF_JNE | BPF_K, minor_register,
                                          static_cast<std::int32_t>(*rule.minor), 2));
        allowed.push_back(answer(1));
        allowed.push_back(leave);
    }
    const auto past = static_cast<std::int16_t>(allowed.size());
    std::vector<plugin::Instruction> program{
        load_word(type_register, offsetof(bpf_cgroup_dev_ctx, access_type)),
        load_word(major_register, offsetof(bpf_cgroup_dev_ctx, major)),
        load_word(minor_register, offsetof(bpf_cgroup_dev_ctx, minor)),
        {BPF_ALU64 | BPF_MOV | BPF_X, access_register, type_register, 0, 0},
        // The upper half is what is to be done, the lower one the kind.
        with_number(BPF_ALU64 | BPF_RSH | BPF_K, access_register, 16),
        with_number(BPF_ALU64 | BPF_AND | BPF_K, type_register, 0xffff),
        with_number(BPF_JMP | BPF_JNE | BPF_K, type_register, BPF_DEVCG_DEV_CHAR,
                    static_cast<std::int16_t>(past + 1)),
        with_number(BPF_JMP | BPF_JSET | BPF_K, access_register, BPF_DEVCG_ACC_MKNOD, past),
    };
    program.insert(program.end(), allowed.begin(), allowed.end());
    program.push_back(answer(0));
    program.push_back(leave);
    return program;
}

} // namespace kata_vfio::shim
