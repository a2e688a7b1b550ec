// SPDX-License-Identifier: Apache-2.0
// What a hundred attachments leave behind: nothing, counted.
#include "test/abi/world.hpp"

#include <iostream>
#include <string>

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

class Leak : public World {
  protected:
    std::string count(const char* when) const {
        (void)kernel->log(); // what it has in hand is done
        const auto number = [](std::size_t n, const char* what) {
            return std::to_string(n) + " " + what;
        };
        const auto text = number(entries("/proc/self/fd"), "descriptors, ") +
                          number(entries("/proc/self/task"), "threads, ") +
                          number(entries(root.at("/sys/bus/mdev/devices")), "vGPUs, ") +
                          number(entries(root.at("/sys/kernel/iommu_groups")), "groups, ") +
                          number(entries(root.at("/dev/vfio")), "nodes, ") +
                          number(entries(root.at("/run/kata-vfio/claims")), "claims, ") +
                          number(root.exists("/run/kata-vfio/sandboxes/sb1/journal"), "journals");
        std::cout << when << ": " << text << std::endl;
        return text;
    }
    /// Both kinds of attachment, refused and undone.
    void refuse() {
        EXPECT_FALSE(host->attach(sandbox, "0000:00:1c.0").ok());
        machine->refuse_device_add("no");
        EXPECT_FALSE(host->attach(sandbox, gpu).ok());
        EXPECT_FALSE(host->attach(sandbox, type8).ok());
        machine->refuse_device_add("");
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

// Before the first count, a few rounds: then the pool's threads are there, and the one inotify
// descriptor that is kept.
TEST_F(Leak, AHundredVgpus) {
    start_with_sandbox();
    cycle(10, type8);
    const auto before = count("before");
    const auto tree = snapshot();
    cycle(100, type8);
    EXPECT_EQ(count("after 100 attach and detach"), before);
    expect_untouched(tree);
}

TEST_F(Leak, RefusedAndRolledBack) {
    start_with_sandbox();
    cycle(10, type8);
    refuse();
    const auto before = count("before");
    const auto tree = snapshot();
    for (int i = 0; i < 20; ++i)
        refuse();
    EXPECT_EQ(count("after 40 rolled back"), before);
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
    const auto before = count("before");
    host->close(host->handles().back());
    for (int i = 0; i < 20; ++i)
        use();
    (void)host->open("sb1", "");
    EXPECT_EQ(count("after 20 instances"), before);
}

} // namespace
} // namespace kata_vfio::abi_test
