// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/oci/seccomp_filter.hpp"

#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>

namespace kata_vfio::shim::oci {
namespace {

ttrpc::Error wrong(const std::string& what) {
    return {ttrpc::Code::invalid_argument, "config.json: linux.seccomp: " + what};
}

struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

void must(int result, const std::string& what) {
    if (result < 0)
        throw wrong(what + ": " + std::strerror(-result));
}

/// "SCMP_ARCH_X86_64" -> SCMP_ARCH_X86_64
std::uint32_t architecture_of(const std::string& name) {
    constexpr std::string_view prefix = "SCMP_ARCH_";
    std::string short_name = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
    std::ranges::transform(short_name, short_name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto token = short_name.empty() ? 0 : ::seccomp_arch_resolve_name(short_name.c_str());
    if (token == 0)
        throw wrong("architecture " + quoted(name) + " is not known here");
    return token;
}

scmp_compare operator_of(const std::string& name) {
    constexpr std::array<std::pair<std::string_view, scmp_compare>, 7> operators{{
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    }};
    for (const auto& [known, op] : operators)
        if (known == name)
            return op;
    throw wrong("operator " + quoted(name) + " is not known here");
}

std::vector<scmp_arg_cmp> comparisons_of(const SeccompRule& rule) {
    std::vector<scmp_arg_cmp> all;
    for (const auto& condition : rule.conditions)
        all.push_back({condition.argument, operator_of(condition.op), condition.value,
                       condition.second_value});
    return all;
}

bool one_argument_twice(const std::vector<scmp_arg_cmp>& comparisons) {
    for (std::size_t i = 0; i < comparisons.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (comparisons[i].arg == comparisons[j].arg)
                return true;
    return false;
}

void add_rule(void* context, const SeccompRule& rule) {
    const auto comparisons = comparisons_of(rule);
    const bool any = one_argument_twice(comparisons);
    for (const auto& name : rule.names) {
        const int number = ::seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR)
            continue;
        const auto add = [&](const scmp_arg_cmp* first, std::size_t count) {
            must(::seccomp_rule_add_array(context, rule.action, number,
                                          static_cast<unsigned>(count), first),
                 "a rule for " + quoted(name));
        };
        if (!any)
            add(comparisons.data(), comparisons.size());
        else
            for (const auto& comparison : comparisons)
                add(&comparison, 1);
    }
}

std::string exported(void* context) {
    const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file)
        throw wrong(std::string("no memory file: ") + std::strerror(errno));
    must(::seccomp_export_bpf(context, file.get()), "libseccomp can't make the filter");
    std::string program(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
    if (::pread(file.get(), program.data(), program.size(), 0) !=
        static_cast<ssize_t>(program.size()))
        throw wrong("the filter can't be read back");
    return program;
}

/// The highest number of the calls the profile names; nullopt: it names none of x86-64's.
std::optional<std::uint32_t> youngest(const SeccompProfile& profile) {
    int most = -1;
    for (const auto& rule : profile.rules)
        for (const auto& name : rule.names)
            most =
                std::max(most, ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str()));
    return most < 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(most));
}

/// Before all else: x86-64's calls above `most` are not there.
std::string unknown_to_profile(std::uint32_t most) {
    constexpr std::uint32_t first_of_x32 = 0x40000000;
    const auto jump = [](std::uint16_t how, std::uint32_t value, std::uint8_t yes,
                         std::uint8_t no) {
        return sock_filter{static_cast<std::uint16_t>(BPF_JMP | how | BPF_K), yes, no, value};
    };
    const std::array<sock_filter, 6> code{{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
        jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 4),
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        jump(BPF_JGT, most, 0, 2),
        jump(BPF_JGE, first_of_x32, 1, 0),
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
    }};
    return {reinterpret_cast<const char*>(code.data()), sizeof(code)};
}

bool permits(SeccompAction action) {
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

} // namespace

agent::SeccompFilter compile(const SeccompProfile& profile) {
    const Context context(::seccomp_init(profile.default_action));
    if (!context)
        throw wrong("libseccomp does not take the default action");
    for (const auto& name : profile.architectures)
        if (const int result = ::seccomp_arch_add(context.get(), architecture_of(name));
            result != -EEXIST)
            must(result, "architecture " + quoted(name));
    for (const auto& rule : profile.rules)
        if (rule.action != profile.default_action) // it says nothing, and libseccomp refuses it
            add_rule(context.get(), rule);
    agent::SeccompFilter filter;
    filter.flags = profile.flags;
    if (!permits(profile.default_action) && profile.default_action != (SECCOMP_RET_ERRNO | ENOSYS))
        if (const auto most = youngest(profile))
            filter.program = unknown_to_profile(*most);
    filter.program += exported(context.get());
    if (filter.program.size() > agent::SeccompFilter::max_size)
        throw wrong("the filter would have " +
                    std::to_string(filter.program.size() / sizeof(sock_filter)) +
                    " instructions, over the kernel's 4096");
    return filter;
}

} // namespace kata_vfio::shim::oci
