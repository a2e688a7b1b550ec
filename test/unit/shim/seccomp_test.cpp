// SPDX-License-Identifier: Apache-2.0
// What becomes of linux.seccomp, asked of this kernel where it can be.
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/guest/seccomp.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/agent/protocol/json_reader.hpp"
#include "runtime-plugin/kernel/system_error.hpp"
#include "runtime-plugin/shim/oci/seccomp_filter.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>

namespace kata_vfio::shim::oci {
namespace {
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

SeccompProfile profile(const std::string& json) {
    return parse_seccomp(agent::parse_object(json));
}

/// What `calls` gives in a process that is held to the profile.
int under(const SeccompProfile& held, const std::function<int()>& calls) {
    const auto filter = compile(held);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        agent::apply_seccomp(filter);
        // Not by _exit(), which AddressSanitizer makes calls of its own in.
        ::syscall(SYS_exit_group, calls());
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int errno_of(long result) {
    return result < 0 ? errno : 0;
}

TEST(Seccomp, CallsAreRefusedWithTheErrnoThatIsAskedFor) {
    const auto held = profile(R"({"defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO"},
                     {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                     {"names": ["getsid"], "action": "SCMP_ACT_KILL_PROCESS"}]})");
    EXPECT_EQ(under(held, [] { return errno_of(::mkdirat(-1, "x", 0)); }), EPERM);
    EXPECT_EQ(under(held, [] { return errno_of(::mkdir("", 0)); }), ENOENT);
    EXPECT_EQ(under(held, [] { return errno_of(::syscall(SYS_getppid)); }), ENOSYS);
    EXPECT_EQ(under(held, [] { return errno_of(::syscall(SYS_getsid, 0)); }), 1000 + SIGSYS);
}

TEST(Seccomp, ConditionsHoldTogetherAndThoseOfOneArgumentApart) {
    const auto held = profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [
            {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}]},
        {"names": ["dup3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 6, "args": [
            {"index": 0, "value": 100, "op": "SCMP_CMP_GE"}, {"index": 2, "value": 15, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ"}]}]})");
    const auto personality = [](long value) {
        return [value] { return errno_of(::syscall(SYS_personality, value)); };
    };
    EXPECT_EQ(under(held, personality(8)), 5);
    EXPECT_EQ(under(held, personality(16)), 5);
    EXPECT_EQ(under(held, personality(0xffffffff)), 0);
    const auto dup = [](int from, int flags) {
        return [from, flags] { return errno_of(::syscall(SYS_dup3, from, from, flags)); };
    };
    EXPECT_EQ(under(held, dup(100, 0x34)), 6);
    EXPECT_EQ(under(held, dup(99, 0x34)), EINVAL) << "the first does not hold";
    EXPECT_EQ(under(held, dup(100, 0x35)), EINVAL) << "the second does not hold";
}

TEST(Seccomp, ACallYoungerThanTheProfileIsNotThere) {
    constexpr long young = 1000; // no kernel has it
    const auto calls = [](long number) { return [number] { return errno_of(::syscall(number)); }; };
    const std::string allowed =
        R"("syscalls": [{"names": ["exit_group", "write", "read"], "action": "SCMP_ACT_ALLOW"}]})";
    const auto held = profile(R"({"defaultAction": "SCMP_ACT_ERRNO", )" + allowed);
    EXPECT_EQ(under(held, calls(young)), ENOSYS);
    EXPECT_EQ(under(held, calls(SYS_getuid)), EPERM) << "it is older than exit_group";
    const auto other =
        profile(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, )" + allowed);
    EXPECT_EQ(under(other, calls(SYS_getuid)), ENOSYS);
    const auto x32 = profile(R"({"defaultAction": "SCMP_ACT_ERRNO", )" + allowed);
    EXPECT_NE(under(x32, calls(0x40000000 + SYS_getuid)), ENOSYS) << "another architecture's";
}

// The answers of a kernel without the call (CONFIG_SECCOMP), and of one without the filters.
class SeccompWithoutFilters : public ::testing::TestWithParam<int> {};

TEST_P(SeccompWithoutFilters, SaysSoAndWhatToDo) {
    const auto kernel = profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["seccomp"], "action": "SCMP_ACT_ERRNO", "errnoRet": )" +
                                std::to_string(GetParam()) +
                                R"(, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]})");
    const auto wanted = compile(profile(R"({"defaultAction": "SCMP_ACT_ALLOW"})"));
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const UniqueFd from(ends[0]), to(ends[1]);
    const auto status = under(kernel, [&] {
        try {
            agent::apply_seccomp(wanted);
            return 1;
        } catch (const SystemError& error) {
            const std::string text = error.what();
            const auto count = ::write(to.get(), text.data(), text.size());
            return count > 0 && error.number() == GetParam() ? 0 : 2;
        }
    });
    ASSERT_EQ(status, 0) << "1: it was taken, 2: not with the kernel's answer";
    std::array<char, 1000> text{};
    ASSERT_GT(::read(from.get(), text.data(), text.size() - 1), 0);
    EXPECT_THAT(text.data(), HasSubstr("CONFIG_SECCOMP_FILTER"));
    EXPECT_THAT(text.data(), HasSubstr("unconfined"));
}
INSTANTIATE_TEST_SUITE_P(Kernel, SeccompWithoutFilters, ::testing::Values(ENOSYS, EINVAL));

TEST(Seccomp, WhatIsNotKnownIsRefused) {
    const auto read = [](const std::string& json) { return [json] { profile(json); }; };
    using agent::ProtocolError;
    EXPECT_THAT(read(R"({"defaultAction": "SCMP_ACT_MAYBE"})"),
                ThrowsMessage<ProtocolError>(HasSubstr("action 'SCMP_ACT_MAYBE' is not known")));
    EXPECT_THAT(read(R"({"defaultAction": "SCMP_ACT_NOTIFY"})"),
                ThrowsMessage<ProtocolError>(HasSubstr("listener")));
    EXPECT_THAT(
        read(
            R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]})"),
        ThrowsMessage<ProtocolError>(HasSubstr("flag")));
    EXPECT_THAT(read(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]})"),
                ThrowsMessage<ProtocolError>(HasSubstr("index")));
    const auto made = [](const std::string& json) { return [json] { compile(profile(json)); }; };
    EXPECT_THAT(made(R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]})"),
                ThrowsMessage<ttrpc::Error>(HasSubstr("architecture 'SCMP_ARCH_VAX'")));
    EXPECT_THAT(made(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "EQ"}]}]})"),
                ThrowsMessage<ttrpc::Error>(HasSubstr("operator 'EQ'")));
}

} // namespace
} // namespace kata_vfio::shim::oci
