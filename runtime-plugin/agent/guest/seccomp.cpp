// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/seccomp.hpp"

#include "runtime-plugin/kernel/system_error.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace kata_vfio::agent {

void apply_seccomp(const SeccompFilter& filter) {
    static_assert(sizeof(sock_filter) == SeccompFilter::instruction);
    // A filter that is nowhere: EFAULT from a kernel that would read it. Without CONFIG_SECCOMP
    // there is no such call, without the filters no such operation (EINVAL);
    // SECCOMP_GET_ACTION_AVAIL would not tell, it is answered without them too (Linux 6.1,
    // kernel/seccomp.c).
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr) != 0 &&
        (errno == ENOSYS || errno == EINVAL))
        throw SystemError("the container has a seccomp profile, and the guest's kernel no filters: "
                          "use one with CONFIG_SECCOMP_FILTER, or run the container without a "
                          "profile (seccomp \"unconfined\")",
                          errno);
    std::vector<sock_filter> code(filter.program.size() / sizeof(sock_filter));
    std::memcpy(code.data(), filter.program.data(), code.size() * sizeof(sock_filter));
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    // TSYNC gives the number of a thread it could not hold to it; here is one thread.
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) != 0)
        throw SystemError("the guest's kernel does not take the seccomp filter", errno);
}

} // namespace kata_vfio::agent
