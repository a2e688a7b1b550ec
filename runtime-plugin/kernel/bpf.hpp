// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace kata_vfio {

/// bpf(2), which has no wrapper: a descriptor, or 0, or -1 with errno. The kernel looks at the
/// padding of the attributes too: memset() them whole.
inline int bpf(int command, bpf_attr& attributes) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

/// As its attributes have one.
inline std::uint64_t bpf_address(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

} // namespace kata_vfio
