// SPDX-License-Identifier: Apache-2.0
// What a hundred attachments leave behind: nothing, counted.
#include "test/abi/world.hpp"

#include <cstdio>

namespace kata_vfio::abi_test {
namespace {

std::size_t entries(const std::filesystem::path& directory) {
    std::size_t count = 0;
    std::error_code ec;
    for (std::filesystem::directory_iterator it(directory, ec), end; !ec && it != end;
         it.increment(ec))
        ++count;
    return count;
}

struct Counted {
    std::size_t descriptors = entries("/proc/self/fd");
    std::size_t threads = entries("/proc/self/task");
    std::size_t mdevs = 0, groups = 0, nodes = 0, claims = 0, journals = 0;
    bool operator==(const Counted&) const = default;
};

class Leak : public World {
  protected:
    Counted count() const {
        (void)kernel->log();
        Counted counted;
        counted.mdevs = entries(root.at("/sys/bus/mdev/devices"));
        counted.groups = entries(root.at("/sys/kernel/iommu_groups"));
        counted.nodes = entries(root.at("/dev/vfio"));
        counted.claims = entries(root.at("/run/kata-vfio/claims"));
        counted.journals = root.exists("/run/kata-vfio/sandboxes/sb1/journal") ? 1 : 0;
        return counted;
    }
    static void print(const char* when, const Counted& counted) {
        std::printf("%s: %zu descriptors, %zu threads, %zu vGPUs, %zu groups, %zu nodes, "
                    "%zu claims, %zu journals\n",
                    when, counted.descriptors, counted.threads, counted.mdevs, counted.groups,
                    counted.nodes, counted.claims, counted.journals);
    }
    void cycle(int times, std::string_view device) {
        for (int i = 0; i < times; ++i) {
            const auto attached = host->attach(sandbox, device);
            ASSERT_TRUE(attached.ok()) << i << ": " << attached;
            const auto detached = host->detach(sandbox, device);
            ASSERT_TRUE(detached.ok()) << i << ": " << detached;
        }
    }
};

TEST_F(Leak, AHundredVgpus) {
    start_with_sandbox();
    cycle(5, type8); // the pool's threads exist, and what is kept open for good is open
    const auto before = count();
    const auto tree = snapshot();
    cycle(100, type8);
    const auto after = count();
    print("before", before);
    print("after 100 attach and detach", after);
    EXPECT_EQ(before, after);
    expect_untouched(tree);
}

TEST_F(Leak, RefusedAndRolledBack) {
    start_with_sandbox();
    cycle(1, gpu);
    const auto before = count();
    const auto tree = snapshot();
    for (int i = 0; i < 20; ++i) {
        EXPECT_FALSE(host->attach(sandbox, "0000:00:1c.0").ok());
        machine->refuse_device_add("no");
        EXPECT_FALSE(host->attach(sandbox, gpu).ok());
        EXPECT_FALSE(host->attach(sandbox, type8).ok());
        machine->refuse_device_add("");
    }
    const auto after = count();
    print("before", before);
    print("after 40 rolled back", after);
    EXPECT_EQ(before, after);
    expect_untouched(tree);
}

TEST_F(Leak, InstancesAndSandboxes) {
    start_with_sandbox();
    host->close(sandbox);
    const auto use = [this] {
        PluginHost other(config, root.path());
        const auto opened = other.open("sb1", "");
        ASSERT_TRUE(opened.ok()) << opened;
        // The machine is in this process: with an answer it has let its earlier client go.
        EXPECT_TRUE(other.attach(opened.sandbox, gpu, {}, KATA_VFIO_ATTACH_DRY_RUN).ok());
    };
    use();
    (void)host->open("sb1", "");
    const auto before = count();
    host->close(host->handles().back());
    for (int i = 0; i < 20; ++i)
        use();
    (void)host->open("sb1", "");
    const auto after = count();
    print("before", before);
    print("after 20 instances", after);
    EXPECT_EQ(before, after);
}

} // namespace
} // namespace kata_vfio::abi_test
