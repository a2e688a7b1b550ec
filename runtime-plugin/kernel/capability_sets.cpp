// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/kernel/capability_sets.hpp"

#include "runtime-plugin/kernel/system_error.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace kata_vfio {
namespace {

using Halves = std::array<__user_cap_data_struct, 2>;

} // namespace

void bound_capabilities(std::uint64_t kept) {
    for (int number = 0; number < 64; ++number) {
        const int has = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (has < 0)
            return; // the kernel has no more of them
        if (has == 1 && !(kept >> number & 1))
            must(::prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "can't drop a capability");
    }
}

void apply_capabilities(const CapabilitySets& wanted) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    Halves data{};
    for (unsigned half = 0; half < 2; ++half) {
        const auto part = [half](std::uint64_t set) {
            return static_cast<std::uint32_t>(set >> (32 * half));
        };
        data[half] = {part(wanted.effective), part(wanted.permitted), part(wanted.inheritable)};
    }
    must(static_cast<int>(::syscall(SYS_capset, &header, data.data())),
         "can't set the capabilities");
    must(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "no ambient capabilities");
    for (int number = 0; number < 64; ++number)
        if (wanted.ambient >> number & 1)
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
}

std::uint64_t permitted_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    Halves data{};
    must(static_cast<int>(::syscall(SYS_capget, &header, data.data())),
         "can't read the capabilities");
    return data[0].permitted | std::uint64_t{data[1].permitted} << 32;
}

} // namespace kata_vfio
