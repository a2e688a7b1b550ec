// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/privileges.hpp"

#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kata_vfio::shim {
namespace {

TEST(Privileges, EachIsACapabilityWithAReason) {
    for (const auto& privilege : privileges()) {
        EXPECT_GE(oci::capability_number(privilege.name), 0) << privilege.name;
        EXPECT_FALSE(privilege.reason.empty()) << privilege.name;
    }
    EXPECT_EQ(qemu_capabilities() & ~shim_capabilities(), 0u);
    const auto admin = std::uint64_t{1} << oci::capability_number("CAP_SYS_ADMIN");
    EXPECT_TRUE(shim_capabilities() & admin);
    EXPECT_FALSE(qemu_capabilities() & admin);
}

TEST(Privileges, TheOthersAreGivenUpForGood) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "there is nothing to give up without root";
    const pid_t pid = ::fork();
    if (pid == 0) {
        keep_shim_capabilities();
        const auto left = permitted_capabilities();
        bool right = left != 0 && (left & ~shim_capabilities()) == 0;
        for (int number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number)
            if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
                right = right && (shim_capabilities() >> number & 1);
        ::_exit(right ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

} // namespace
} // namespace kata_vfio::shim
