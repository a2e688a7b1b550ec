// SPDX-License-Identifier: Apache-2.0
// What a process killed in the middle of an attach leaves, and the next one makes of it.
#include "test/abi/world.hpp"
#include "vfio/driver_binding.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

class Recovery : public World {
  protected:
    static constexpr std::string_view directory = "/run/kata-vfio/sandboxes/sb1";

    /// Stops an attach behind everything it has told `at`, as a kill would: the files of that
    /// moment are put back afterwards, with whatever it had made.
    void kill_at(std::string_view device, std::string_view at) {
        std::string journal;
        host->at_step(std::string(at), [&](std::uint64_t ticket) {
            journal = root.read(std::string(directory) + "/journal");
            host->cancel(ticket);
        });
        ASSERT_FALSE(host->attach(sandbox, device, device == gpu ? "" : uuid_a).ok());
        host->at_step("", nullptr);
        host->close(sandbox);
        root.write(std::string(directory) + "/journal", journal);
        ASSERT_THAT(journal, HasSubstr("\"intent\""));
    }
    /// With the file's first occurrence of `what` replaced.
    void edit(std::string_view name, const std::string& what, const std::string& by) const {
        const auto path = std::string(directory) + "/" + std::string(name);
        auto text = root.read(path);
        const auto at = text.find(what);
        ASSERT_NE(at, text.npos) << text;
        root.write(path, text.replace(at, what.size(), by));
    }
};

TEST_F(Recovery, AVgpuThatWasMadeIsRemoved) {
    start_with_sandbox();
    const auto before = snapshot();
    kill_at(type8, "plug ");
    // What the killed one had done by then.
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_a), 2);
    kernel->rescan();
    root.write("/run/kata-vfio/claims/mdev-" + std::string(uuid_a), "sb1\n");

    PluginHost other(config, root.path());
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_THAT(other.log(), ::testing::Contains(HasSubstr("undoing an unfinished attach")));
    expect_untouched(before);
}

TEST_F(Recovery, AVgpuThatWasPluggedIsTakenOutFirst) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto attached = host->attach(sandbox, type8, uuid_a);
    ASSERT_TRUE(attached.ok()) << attached;
    host->close(sandbox);
    // As if it had been killed with everything done but state.json.
    const auto steps = std::string(R"({"v":1,"begin":"attach","pid":1,"ids":["vfio-)") +
                       std::string(uuid_a.substr(0, 8)) + "\"]}\n" +
                       R"({"v":1,"intent":{"step":"claim","claim":"mdev-)" + std::string(uuid_a) +
                       "\"}}\n" + R"({"v":1,"intent":{"step":"create_vgpu","uuid":")" +
                       std::string(uuid_a) +
                       R"(","parent":"0000:00:02.0","type":"i915-GVTg_V4_8"}})"
                       "\n" +
                       R"({"v":1,"intent":{"step":"plug","id":"vfio-)" +
                       std::string(uuid_a.substr(0, 8)) + "\"}}\n" + R"({"v":1,"do)"; // torn
    root.write(std::string(directory) + "/journal", steps);
    root.write(std::string(directory) + "/state.json",
               before.entries.at(std::string(directory).substr(1) + "/state.json").substr(5));

    PluginHost other(config, root.path());
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(plugged(), std::vector<std::string>{});
    expect_untouched(before);
}

TEST_F(Recovery, WhatIsInTheStateIsKept) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    const auto before = snapshot();
    root.write(std::string(directory) + "/journal",
               std::string(R"({"v":1,"begin":"attach","pid":1,"ids":["vfio-)") +
                   std::string(uuid_a.substr(0, 8)) + "\"]}\n" +
                   R"({"v":1,"intent":{"step":"plug","id":"vfio-)" +
                   std::string(uuid_a.substr(0, 8)) + "\"}}\n");
    PluginHost other(config, root.path());
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(plugged().size(), 1u);
    expect_untouched(before); // the journal is gone, the attachment is not
}

TEST_F(Recovery, AFunctionThatWasBoundGoesBackToItsDriver) {
    start_with_sandbox();
    const auto before = snapshot();
    kill_at(gpu, "plug ");
    EXPECT_EQ(driver_of(gpu), "i915"); // the cancelled attach has undone it: do it once more
    vfio::BindOptions options;
    (void)vfio::bind_to_vfio(root.host(), *vfio::PciAddress::parse(gpu), options);
    root.write("/run/kata-vfio/claims/function-" + std::string(gpu), "sb1\n");
    root.write("/run/kata-vfio/claims/group-1", "sb1\n");

    PluginHost other(config, root.path());
    const auto released = other.release("sb1"); // recovers without an open as well
    EXPECT_TRUE(released.ok()) << released;
    EXPECT_EQ(driver_of(gpu), "i915");
    EXPECT_EQ(names("/run/kata-vfio/claims"), "");
    EXPECT_EQ(names("/dev/vfio"), "vfio");
    const auto without_run = [](Snapshot tree) {
        std::erase_if(tree.entries, [](const auto& e) { return e.first.starts_with("run/"); });
        return tree;
    };
    EXPECT_EQ(difference(without_run(before), without_run(snapshot())), "");
}

TEST_F(Recovery, ADamagedJournalIsNotGuessedAt) {
    start_with_sandbox();
    kill_at(type8, "plug ");
    edit("journal", "\"intent\"", "\"inten\"");
    const auto before = snapshot();
    PluginHost other(config, root.path());
    const auto answer = other.open("sb1", machine->path());
    expect_refused(answer, KATA_VFIO_E_STATE_CORRUPT, before);
    EXPECT_THAT(answer.problem, HasSubstr("sandboxes/sb1/journal:2"));
    const auto release = other.release("sb1");
    expect_refused(release, KATA_VFIO_E_STATE_CORRUPT, before);
}

TEST_F(Recovery, ADamagedStateIsNotGuessedAt) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    edit("state.json", "\"attachments\"", "\"attachment\"");
    const auto before = snapshot();
    PluginHost other(config, root.path());
    for (const auto& answer :
         {other.open("sb1", machine->path()), other.list("sb1"), other.release("sb1")}) {
        expect_refused(answer, KATA_VFIO_E_STATE_CORRUPT, before);
        EXPECT_THAT(answer.message, HasSubstr("sandboxes/sb1/state.json"));
    }
    EXPECT_EQ(plugged().size(), 1u);
    // It hides no other sandbox from a list of all.
    fake::FakeMachine second;
    ASSERT_TRUE(other.open("sb2", second.path()).ok());
    const auto all = other.list();
    ASSERT_TRUE(all.ok()) << all;
    ASSERT_EQ(all.sandboxes.size(), 1u);
    EXPECT_EQ(all.sandboxes[0].id, "sb2");
    const auto& unreadable = all.json.as_object().at("unreadable").as_array();
    ASSERT_EQ(unreadable.size(), 1u);
    EXPECT_EQ(unreadable[0].at("sandbox"), "sb1");
    EXPECT_EQ(unreadable[0].at("error").at("name"), "state_corrupt");
}

// Sound as they are: whoever wrote them, it was not us.
TEST_F(Recovery, AnotherUsersFilesAreNotGuessedAt) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give a file away";
    start_with_sandbox();
    kill_at(type8, "plug ");
    for (const std::string name : {"journal", "state.json"}) {
        const auto file = root.at("/run/kata-vfio/sandboxes/sb1/" + name);
        ASSERT_EQ(::chown(file.c_str(), 4711, 4711), 0);
        const auto before = snapshot();
        PluginHost other(config, root.path());
        for (const auto& answer : {other.open("sb1", machine->path()), other.release("sb1")}) {
            expect_refused(answer, KATA_VFIO_E_STATE_CORRUPT, before);
            EXPECT_EQ(answer.said, file.string() + " belongs to user 4711");
        }
        ASSERT_EQ(::chown(file.c_str(), 0, 0), 0);
    }
    PluginHost other(config, root.path());
    EXPECT_TRUE(other.open("sb1", machine->path()).ok());
}

TEST_F(Recovery, ABrokenConfigurationKeepsNothingFromBeingGivenBack) {
    start_with_sandbox();
    const auto before = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    configure("[hypervisor.qemu\n");
    EXPECT_EQ(refused_open(config, root.path()).status, KATA_VFIO_E_CONFIG_INVALID);

    PluginHost other(config, root.path(), KATA_VFIO_PLUGIN_LATE_CONFIG);
    const auto stranger = other.open("sb2", machine->path());
    EXPECT_EQ(stranger.status, KATA_VFIO_E_CONFIG_INVALID);
    EXPECT_EQ(other.release("sb2").blocker,
              "the configuration, which is wrong or missing: only the default state directory, " +
                  root.at("/run/kata-vfio").string() + ", was looked at");
    const auto opened = other.open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto again = other.attach(opened.sandbox, type8);
    EXPECT_EQ(again.status, KATA_VFIO_E_CONFIG_INVALID);
    EXPECT_THAT(again.message, HasSubstr(config.string() + ":1"));
    const auto detached = other.detach(opened.sandbox, uuid_a);
    EXPECT_TRUE(detached.ok()) << detached;
    configure(configuration());
    expect_untouched(before);
}

} // namespace
} // namespace kata_vfio::abi_test
