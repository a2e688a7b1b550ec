// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/limits.hpp"

#include "runtime-plugin/plugin/numa.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t mib = std::uint64_t{1} << 20, gib = mib << 10;

constexpr const char* proc_limits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             31362                31362                processes \n"
    "Max locked memory         67108864             134217728            bytes     \n";

TEST(ParseMemlock, TheSoftLimit) {
    EXPECT_EQ(parse_memlock(proc_limits), 64 * mib);
    EXPECT_EQ(parse_memlock("Max locked memory         unlimited            unlimited\n"),
              std::nullopt);
    EXPECT_EQ(parse_memlock("Max locked memory\n"), std::nullopt);
    EXPECT_EQ(parse_memlock(""), std::nullopt);
}

TEST(HasIpcLock, BitFourteen) {
    EXPECT_TRUE(has_ipc_lock("000001ffffffffff"));
    EXPECT_TRUE(has_ipc_lock("0000000000004000"));
    EXPECT_FALSE(has_ipc_lock("00000000a80425fb")); // a container's usual set
    EXPECT_FALSE(has_ipc_lock(""));
    EXPECT_FALSE(has_ipc_lock("zz"));
}

qemu::GuestFacts guest(std::uint64_t memory) {
    qemu::GuestFacts facts;
    facts.memory = memory;
    facts.base_memory = memory;
    return facts;
}

vfio::PciFunction function(std::vector<vfio::Bar> bars = {}) {
    vfio::PciFunction made;
    made.bars = std::move(bars);
    return made;
}

ProcessLimits process(std::optional<std::uint64_t> memlock, bool may_exceed = false) {
    ProcessLimits limits;
    limits.pid = 4711;
    limits.memlock = memlock;
    limits.may_exceed = may_exceed;
    return limits;
}

const std::vector<vfio::PciFunction> one{function()};

TEST(Limits, MemlockBelowTheGuestsMemory) {
    const auto failure = limit_in_the_way(process(64 * mib), guest(2 * gib), one, false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), Errc::limit_too_low);
    EXPECT_EQ(failure->problem(),
              "VFIO pins all of the guest's 2048 MiB, and QEMU may lock 64 MiB");
    EXPECT_EQ(failure->blocker(), "RLIMIT_MEMLOCK of pid 4711");
    EXPECT_THAT(failure->advice(), HasSubstr("prlimit --pid 4711 --memlock=2214592512"));
}

TEST(Limits, MemlockThatDoesNotBind) {
    const auto far = guest(2 * gib);
    EXPECT_FALSE(limit_in_the_way(process(2 * gib), far, one, false));
    EXPECT_FALSE(limit_in_the_way(process(std::nullopt), far, one, false));
    EXPECT_FALSE(limit_in_the_way(process(1, true), far, one, false)); // CAP_IPC_LOCK
    EXPECT_FALSE(limit_in_the_way(process(1), far, one, true));        // pinned already
    EXPECT_FALSE(limit_in_the_way(process(1), far, {}, false));        // a vGPU pins what it uses
    EXPECT_FALSE(limit_in_the_way(process(1), qemu::GuestFacts{}, one, false));
}

TEST(Limits, AnInflatedBalloon) {
    auto facts = guest(2 * gib);
    facts.balloon = gib;
    const auto failure = limit_in_the_way(process(std::nullopt), facts, one, false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->problem(), "the guest's balloon holds 1024 MiB of its 2048 MiB, and VFIO "
                                  "needs all of it in place");
    EXPECT_THAT(failure->advice(), HasSubstr("value=2147483648"));
    EXPECT_FALSE(limit_in_the_way(process(std::nullopt), facts, one, true));
    facts.balloon = 2 * gib;
    EXPECT_FALSE(limit_in_the_way(process(std::nullopt), facts, one, false));
}

TEST(Limits, VirtioMemOfTooManyBlocks) {
    auto facts = guest(2 * gib);
    facts.virtio_mem.push_back({"vm0", 256 * gib, 2 * mib});
    auto failure = limit_in_the_way(process(std::nullopt), facts, one, false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->problem(),
              "virtio-mem vm0 has 131072 blocks of 2 MiB, and VFIO maps at most "
              "65535");
    EXPECT_THAT(failure->advice(), HasSubstr("a block-size of at least 4 MiB"));
    EXPECT_FALSE(limit_in_the_way(process(std::nullopt), facts, one, false, 131072));
    facts.virtio_mem = {{"vm0", 64 * gib, 2 * mib}};
    EXPECT_FALSE(limit_in_the_way(process(std::nullopt), facts, one, false));
}

TEST(Limits, ABarThatFindsNoPlace) {
    auto facts = guest(2 * gib);
    facts.window.low = qemu::AddressRange{0x80000000, 0xfec00000};
    facts.window.taken = {{0xfd000000, 0xfe000000}};
    const vfio::Bar vram{2, 16 * gib, true, true, false}, io{4, 64, false, false, true},
        rom{6, 64 * gib, false, false, false};
    const auto failure =
        limit_in_the_way(process(std::nullopt), facts, {function({vram, io, rom})}, false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->problem(),
              "BAR 2 takes 16384 MiB, and the largest gap left for it below the "
              "root bus is 2000 MiB");
    EXPECT_THAT(failure->advice(), HasSubstr("pci-hole64-size=32G"));
    const vfio::Bar small{0, 16 * mib, false, false, false};
    EXPECT_FALSE(
        limit_in_the_way(process(std::nullopt), facts, {function({small, io, rom})}, false));
}

TEST(ReadLimits, OfAProcess) {
    fake::FakeRoot root;
    root.write("/proc/4711/limits", proc_limits);
    root.write("/proc/4711/status", "Name:\tqemu\nCapEff:\t0000000000004000\n"
                                    "Mems_allowed_list:\t1,3-4\n");
    const auto limits = read_limits(root.host(), 4711);
    EXPECT_EQ(limits.memlock, 64 * mib);
    EXPECT_TRUE(limits.may_exceed);
    EXPECT_EQ(read_limits(root.host(), 0).memlock, std::nullopt);
    EXPECT_EQ(read_limits(root.host(), 4712).memlock, std::nullopt);

    EXPECT_THAT(nodes_of(root.host(), 4711), ElementsAre(1, 3, 4));
    root.write("/sys/devices/system/node/online", "1,3-4\n");
    EXPECT_THAT(nodes_of(root.host(), 4711), ElementsAre()); // all of them: none is near
    EXPECT_THAT(nodes_of(root.host(), 4712), ElementsAre());
    EXPECT_THAT(nodes_of(root.host(), 0), ElementsAre());
}

TEST(ParseList, NumbersAndRanges) {
    EXPECT_THAT(parse_list("0-2,5\n"), ElementsAre(0, 1, 2, 5));
    EXPECT_THAT(parse_list(""), ElementsAre());
    EXPECT_THAT(parse_list("x,1-,-2,3-x,0-4000000000,7"), ElementsAre(7));
    EXPECT_THAT(parse_list("5-4"), ElementsAre());
}

} // namespace
} // namespace kata_vfio::plugin
