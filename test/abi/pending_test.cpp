// SPDX-License-Identifier: Apache-2.0
// What is held when it is to be given back: reported, and given back by itself when it is let go.
#include "config/base/unique_fd.hpp"
#include "test/abi/reconcile_world.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace kata_vfio::abi_test {
namespace {

using Pending = Reconcile;

TEST_F(Pending, APendingRemovalFinishesByItself) {
    start_with_sandbox();
    restart(configuration("", "host_write = 60"));
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    kernel->hold_remove(std::string(uuid_a));
    const auto detached = host->detach(sandbox, uuid_a);
    EXPECT_EQ(detached.status, KATA_VFIO_E_REMOVAL_PENDING) << detached;
    const auto listed = host->list("sb1");
    ASSERT_EQ(listed.attachments.size(), 1u);
    const auto& attachment = listed.json.at("sandboxes").at(0).at("attachments").at(0).as_object();
    EXPECT_TRUE(attachment.at("unplugged").as_bool());
    EXPECT_EQ(attachment.at("pending").at("pid"), 0); // nobody is to be seen in this /proc
    const auto answer = host->reconcile();
    EXPECT_EQ(verdict(answer), "pending");
    EXPECT_EQ(device_in(answer, uuid_a).at("state"), "pending");
    EXPECT_EQ(device_in(answer, uuid_a).at("owner"), "ours");

    kernel->release(std::string(uuid_a));
    host->wait_log("pending removal is finished");
    EXPECT_EQ(host->list("sb1").attachments.size(), 0u);
    expect_untouched(before);
}

TEST_F(Pending, WhatAProcessHoldsIsFinishedWhenThatEnds) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    const auto child = ::fork();
    if (child == 0)
        for (;;)
            ::pause();
    root.populate_holder(child, "qemu-system-x86", "/dev/vfio/1");
    process(child, 5);
    const auto detached = host->detach(sandbox, gpu);
    EXPECT_EQ(detached.status, KATA_VFIO_E_DEVICE_IN_USE) << detached;
    const auto answer = host->reconcile();
    EXPECT_EQ(verdict(answer), "pending");
    const auto holder = sandbox_in(answer, "sb1").at("holder").as_object();
    EXPECT_EQ(holder.at("pid"), child);
    EXPECT_EQ(holder.at("command"), "qemu-system-x86");
    EXPECT_EQ(driver_of(gpu), "vfio-pci");

    root.remove_holder(child);
    ::kill(child, SIGKILL);
    host->wait_log("pending removal is finished");
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_EQ(driver_of(gpu), "i915");
    expect_untouched(before);
}

TEST_F(Pending, WhatAProcessHoldsIsFinishedWhenThatLetsGoAndLivesOn) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    UniqueFd open(::open(root.at("/dev/vfio/1").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(open);
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1"); // nobody's pid: never ends
    const auto detached = host->detach(sandbox, gpu);
    EXPECT_EQ(detached.status, KATA_VFIO_E_DEVICE_IN_USE) << detached;
    EXPECT_EQ(verdict(host->reconcile()), "pending");

    root.remove_holder(4711);
    EXPECT_EQ(driver_of(gpu), "vfio-pci"); // and nobody looks before it is closed
    open.reset();
    host->wait_log("pending removal is finished");
    EXPECT_EQ(driver_of(gpu), "i915");
    expect_untouched(before);
}

TEST_F(Pending, WhatWasHeldGoesOnAtTheNextOpen) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, gpu).ok());
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1");
    EXPECT_FALSE(host->detach(sandbox, gpu).ok());
    host->close(sandbox);
    root.remove_holder(4711);
    const auto opened = host->open("sb1", "");
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(host->list("sb1").attachments.size(), 0u);
    expect_untouched(before);
}

} // namespace
} // namespace kata_vfio::abi_test
