// SPDX-License-Identifier: Apache-2.0
// Many at once: instances, threads, sandboxes.
#include "test/abi/world.hpp"

#include <thread>

namespace kata_vfio::abi_test {
namespace {

class Parallel : public World {
  protected:
    static constexpr std::size_t count = 8;

    void enlarge_pool() {
        fake::FunctionSpec second;
        second.address = "0000:03:00.0";
        second.group = 9;
        root.populate_function(second);
        fake::ParentSpec parent;
        parent.name = second.address;
        parent.pool = 100;
        fake::MdevTypeSpec type;
        type.id = "wide";
        parent.types = {type};
        root.populate_mdev_parent(parent);
    }
};

// The number of a group that one sandbox gives back is the next one's at once.
TEST_F(Parallel, EightThreadsOnSandboxesOfTheirOwn) {
    enlarge_pool();
    start();
    std::vector<std::unique_ptr<fake::FakeMachine>> machines;
    for (std::size_t i = 0; i < count; ++i)
        machines.push_back(std::make_unique<fake::FakeMachine>());
    std::vector<std::string> problems(count);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i)
        threads.emplace_back([&, i] {
            const auto id = "sb" + std::to_string(i);
            const auto opened = host->open(id, machines[i]->path());
            for (int round = 0; round < 3 && opened.ok(); ++round) {
                const auto attached = host->attach(opened.sandbox, "wide");
                const auto detached = host->detach(opened.sandbox, "wide");
                if (!attached.ok() || !detached.ok())
                    problems[i] += attached.message + " " + detached.message;
            }
            const auto released = host->release(id);
            problems[i] += opened.message + released.message;
        });
    for (auto& thread : threads)
        thread.join();
    for (const auto& problem : problems)
        EXPECT_EQ(problem, "");
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    EXPECT_EQ(names("/run/kata-vfio/sandboxes"), "");
}

// One device, many sandboxes: it goes to one of them.
TEST_F(Parallel, OneFunctionWantedByAll) {
    start();
    std::vector<std::unique_ptr<fake::FakeMachine>> machines;
    std::vector<kata_vfio_sandbox_t*> sandboxes;
    std::vector<std::uint64_t> tickets;
    for (std::size_t i = 0; i < count; ++i) {
        machines.push_back(std::make_unique<fake::FakeMachine>());
        const auto opened = host->open("sb" + std::to_string(i), machines[i]->path());
        ASSERT_TRUE(opened.ok()) << opened;
        sandboxes.push_back(opened.sandbox);
    }
    for (auto* each : sandboxes)
        tickets.push_back(host->start_attach(each, gpu));
    std::size_t attached = 0;
    for (const auto ticket : tickets) {
        const auto answer = host->wait(ticket);
        attached += answer.ok();
        if (!answer.ok()) {
            EXPECT_EQ(answer.status, KATA_VFIO_E_DEVICE_IN_USE) << answer;
        }
    }
    EXPECT_EQ(attached, 1u);
    std::size_t devices = 0;
    for (const auto& each : machines)
        devices += each->devices().size();
    EXPECT_EQ(devices, 1u);
    EXPECT_EQ(driver_of(gpu), "vfio-pci") << "a loser's rollback took it from the winner";
}

TEST_F(Parallel, TwoInstancesAtOnce) {
    start_with_sandbox();
    fake::FakeMachine second;
    PluginHost other(config, root.path());
    const auto opened = other.open("sb2", second.path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto first = host->start_attach(sandbox, type8);
    const auto answer = other.attach(opened.sandbox, "i915-GVTg_V4_4");
    EXPECT_TRUE(answer.ok()) << answer;
    EXPECT_TRUE(host->wait(first).ok());
    EXPECT_EQ(host->list().attachments.size(), 2u);
    EXPECT_EQ(other.list().attachments.size(), 2u);
    EXPECT_EQ(other.list().sandboxes.size(), 2u);
}

// The sandbox's lock between processes: who comes second is told who is first.
TEST_F(Parallel, TwoInstancesOnOneSandbox) {
    start_with_sandbox();
    machine->block_on("device_add");
    const auto first = host->start_attach(sandbox, type8);
    machine->wait_blocked();
    // While QEMU works the new state is written beside the old one.
    while (names("/run/kata-vfio/sandboxes/sb1").find("state.json.") == std::string::npos)
        std::this_thread::yield();
    PluginHost other(config, root.path());
    const auto before = snapshot();
    const auto release = other.release("sb1");
    expect_refused(release, KATA_VFIO_E_SANDBOX_BUSY, before);
    EXPECT_EQ(release.problem, "another process is changing sandbox sb1");
    EXPECT_EQ(release.blocker, "pid " + std::to_string(::getpid()));
    machine->unblock();
    EXPECT_TRUE(host->wait(first).ok());
}

} // namespace
} // namespace kata_vfio::abi_test
