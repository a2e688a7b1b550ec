// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/recovery.hpp"

#include "test/unit/plugin/recovery_cases.hpp"

#include <gmock/gmock.h>

#include <sstream>

namespace kata_vfio::plugin {
namespace {

using namespace recovery_cases;
using ::testing::ElementsAre;
using ::testing::StartsWith;

const std::string uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const QemuPicture running{QemuLife::running, true, "its QEMU answers"};
const QemuPicture mute{QemuLife::running, false, "its monitor is closed"};
const QemuPicture unknown{QemuLife::unknown, false, "the pid of its QEMU is not known"};

Attachment vgpu() {
    Attachment attachment;
    attachment.id = "vfio-83b8f4f2";
    attachment.kind = Kind::mdev;
    attachment.host_address = bdf;
    attachment.uuid = uuid;
    attachment.made_vgpu = true;
    attachment.iommu_group = 5;
    return attachment;
}

Attachment function() {
    Attachment attachment;
    attachment.id = "vfio-0000.00.02.0";
    attachment.kind = Kind::pci;
    attachment.host_address = bdf;
    attachment.iommu_group = 1;
    attachment.bound = bind_record();
    return attachment;
}

const std::string mdev_name = "mdev-" + uuid;

HostPicture host(std::map<std::string, std::string> owners, bool pending = false) {
    HostPicture picture;
    picture.mdevs[uuid] = {pending, 5};
    picture.functions[bdf] = {"vfio-pci", 1};
    for (const auto& [claim, owner] : owners)
        picture.claims[claim] = Claim{owner, 0, 0};
    return picture;
}

LeftJournal vgpu_journal() {
    return {"attach",
            {"vfio-83b8f4f2"},
            {ClaimStep{mdev_name}, CreateVgpuStep{uuid, bdf, "i915-GVTg_V4_8"},
             PlugStep{"vfio-83b8f4f2"}}};
}
LeftJournal function_journal() {
    return {"attach",
            {"vfio-0000.00.02.0"},
            {ClaimStep{function_name}, ClaimStep{"group-1"}, BindStep{bind_record()},
             PlugStep{"vfio-0000.00.02.0"}}};
}

std::vector<std::string> lines(const std::vector<Action>& actions) {
    std::vector<std::string> texts;
    for (const auto& action : actions) {
        std::ostringstream out;
        out << action;
        texts.push_back(out.str());
    }
    return texts;
}
TEST(PlanJournal, UndoesInReverse) {
    EXPECT_THAT(
        lines(plan_journal(vgpu_journal(), state_with({}), host({{mdev_name, "sb1"}}), running)),
        ElementsAre("unplug vfio-83b8f4f2: its attach was not brought to its end",
                    "remove_vgpu " + uuid + ": made for an attach that was not brought to its end",
                    "drop_claim " + mdev_name + ": no attachment of the sandbox's",
                    "clear_journal sb1: the unfinished attach is undone"));
    const auto actions = plan_journal(function_journal(), state_with({}),
                                      host({{function_name, "sb1"}, {"group-1", "sb1"}}), running);
    EXPECT_THAT(brief(actions), ElementsAre("unplug vfio-0000.00.02.0", "restore_driver " + bdf,
                                            "drop_claim group-1", "drop_claim " + function_name,
                                            "clear_journal sb1"));
    EXPECT_EQ(actions[1].record, bind_record());
}

TEST(PlanJournal, WhatIsOnRecordIsKept) {
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({vgpu()}), host({}), running)),
                ElementsAre("clear_journal sb1: its attach of vfio-83b8f4f2 is on record"));
}

// By the last step that was intended before the kill.
TEST(PlanJournal, OnlyWhatWasIntended) {
    auto journal = vgpu_journal();
    journal.steps.pop_back();
    const auto mine = host({{mdev_name, "sb1"}});
    EXPECT_THAT(brief(plan_journal(journal, state_with({}), mine, unknown)),
                ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name, "clear_journal sb1"));
    journal.steps.pop_back(); // a vGPU of that UUID is there, but it was not to be made yet
    EXPECT_THAT(brief(plan_journal(journal, state_with({}), mine, unknown)),
                ElementsAre("drop_claim " + mdev_name, "clear_journal sb1"));
    journal.steps.clear();
    EXPECT_THAT(brief(plan_journal(journal, state_with({}), mine, unknown)),
                ElementsAre("clear_journal sb1"));
}

// Between the drop of the claim and the record, another sandbox may have taken the device.
TEST(PlanJournal, ADeviceThatIsAnothersSinceIsLeftAlone) {
    EXPECT_THAT(
        lines(plan_journal(vgpu_journal(), state_with({}), host({{mdev_name, "sb2"}}), gone)),
        ElementsAre("leave_alone " + uuid + ": sandbox sb2 has claimed it since",
                    "clear_journal sb1: the unfinished attach is undone"));
    EXPECT_THAT(brief(plan_journal(function_journal(), state_with({}),
                                   host({{function_name, "sb2"}, {"group-1", "sb2"}}), gone)),
                ElementsAre("leave_alone " + bdf, "clear_journal sb1"));
}

TEST(PlanJournal, ADeviceWithoutAClaimWasGivenBack) {
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({}), host({}), gone)),
                ElementsAre(StartsWith("leave_alone " + uuid +
                                       ": its claim is gone, so it was "
                                       "given back"),
                            StartsWith("clear_journal")));
    auto unreadable = host({});
    unreadable.unreadable_claims.insert(mdev_name);
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({}), unreadable, gone)),
                ElementsAre(StartsWith("leave_alone " + uuid + ": its claim can't be read"),
                            StartsWith("clear_journal")));
}

TEST(PlanJournal, AGroupThatASiblingNeedsStaysClaimed) {
    auto sibling = function();
    sibling.id = "vfio-0000.00.02.1";
    sibling.host_address = "0000:00:02.1";
    EXPECT_THAT(
        brief(plan_journal(function_journal(), state_with({sibling}),
                           host({{function_name, "sb1"}, {"group-1", "sb1"}}), gone)),
        ElementsAre("restore_driver " + bdf, "drop_claim " + function_name, "clear_journal sb1"));
}

TEST(PlanJournal, WhatQemuMayHaveIsNotTakenFromUnderIt) {
    const auto mine = host({{mdev_name, "sb1"}});
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({}), mine, mute)),
                ElementsAre("blocked vfio-83b8f4f2: QEMU may have it, and its monitor can't be "
                            "asked: its monitor is closed"));
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({}), mine, unknown)),
                ElementsAre("blocked vfio-83b8f4f2: whether QEMU has it is not known: the pid of "
                            "its QEMU is not known"));
    EXPECT_THAT(brief(plan_journal(vgpu_journal(), state_with({}), mine, gone)),
                ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name, "clear_journal sb1"));
}

TEST(PlanJournal, ADeviceThatIsGoneNeedsNothing) {
    HostPicture empty;
    empty.claims[mdev_name] = Claim{"sb1", 0, 0};
    EXPECT_THAT(brief(plan_journal(vgpu_journal(), state_with({}), empty, gone)),
                ElementsAre("drop_claim " + mdev_name, "clear_journal sb1"));
    EXPECT_THAT(brief(plan_journal(function_journal(), state_with({}), HostPicture{}, gone)),
                ElementsAre("clear_journal sb1"));
}

TEST(PlanJournal, ARemovalUnderWayIsWaitedFor) {
    EXPECT_THAT(lines(plan_journal(vgpu_journal(), state_with({}), host({{mdev_name, "sb1"}}, true),
                                   gone))[0],
                "remove_vgpu " + uuid + ": its removal is under way");
}

struct GiveBackCase {
    const char* name;
    bool unplugged;
    const char* owner; ///< of the device's own claim
    std::vector<std::string> actions;
};

TEST(PlanGiveBack, ByTheDevicesClaim) {
    const std::vector<GiveBackCase> cases{
        {"ours, let go",
         true,
         "sb1",
         {"remove_vgpu " + uuid, "drop_claim " + mdev_name, "forget vfio-83b8f4f2"}},
        {"ours, QEMU gone",
         false,
         "sb1",
         {"remove_vgpu " + uuid, "drop_claim " + mdev_name, "forget vfio-83b8f4f2"}},
        {"another's, let go", true, "sb2", {"leave_alone " + uuid, "forget vfio-83b8f4f2"}},
        {"another's, not let go", false, "sb2", {"leave_alone " + uuid, "forget vfio-83b8f4f2"}},
        {"killed behind the drop", true, "", {"leave_alone " + uuid, "forget vfio-83b8f4f2"}},
        {"the claim is lost", false, "", {"remove_vgpu " + uuid, "forget vfio-83b8f4f2"}},
    };
    for (const auto& each : cases) {
        auto attachment = vgpu();
        attachment.unplugged = each.unplugged;
        const auto picture = *each.owner ? host({{mdev_name, each.owner}}) : host({});
        EXPECT_EQ(brief(plan_give_back(attachment, state_with({attachment}), picture)),
                  each.actions)
            << each.name;
    }
}

TEST(PlanGiveBack, WhatWeDidNotMakeStays) {
    auto attachment = vgpu();
    attachment.made_vgpu = false;
    attachment.unplugged = true;
    EXPECT_THAT(
        brief(plan_give_back(attachment, state_with({attachment}), host({{mdev_name, "sb1"}}))),
        ElementsAre("drop_claim " + mdev_name, "forget vfio-83b8f4f2"));
    auto bound_before = function();
    bound_before.bound.reset();
    EXPECT_THAT(brief(plan_give_back(bound_before, state_with({bound_before}),
                                     host({{function_name, "sb1"}, {"group-1", "sb1"}}))),
                ElementsAre("drop_claim " + function_name, "drop_claim group-1",
                            "forget vfio-0000.00.02.0"));
}

TEST(PlanSandbox, OfTheDeadEverythingGoesBackLastFirst) {
    const auto picture = host({{mdev_name, "sb1"}, {function_name, "sb1"}, {"group-1", "sb1"}});
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state_with({vgpu(), function()}), picture, gone)),
                ElementsAre("restore_driver " + bdf, "drop_claim " + function_name,
                            "drop_claim group-1", "forget vfio-0000.00.02.0", "remove_vgpu " + uuid,
                            "drop_claim " + mdev_name, "forget vfio-83b8f4f2",
                            "remove_sandbox sb1"));
}

TEST(PlanSandbox, WhatRunsIsAdopted) {
    const auto plan =
        plan_sandbox(std::nullopt, state_with({vgpu()}), host({{mdev_name, "sb1"}}), mute);
    EXPECT_THAT(lines(plan), ElementsAre("keep vfio-83b8f4f2: its QEMU runs"));
    EXPECT_TRUE(settled(plan));
    EXPECT_FALSE(blocked(plan));
    EXPECT_TRUE(settled(plan_sandbox(std::nullopt, state_with({}), HostPicture{}, running)));
}

TEST(PlanSandbox, OfOneThatRuns) {
    auto let_go = vgpu();
    let_go.unplugged = true;
    EXPECT_THAT(
        brief(
            plan_sandbox(std::nullopt, state_with({let_go}), host({{mdev_name, "sb1"}}), running)),
        ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name, "forget vfio-83b8f4f2"));
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state_with({vgpu()}), host({}), running)),
                ElementsAre("take_claim " + mdev_name, "keep vfio-83b8f4f2"));
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state_with({vgpu()}), HostPicture{}, running)),
                ElementsAre("lost vfio-83b8f4f2"));
    const auto twice =
        plan_sandbox(std::nullopt, state_with({vgpu()}), host({{mdev_name, "sb2"}}), running);
    EXPECT_THAT(lines(twice)[0], "blocked " + mdev_name +
                                     ": sandbox sb2 has it as well as vfio-83b8f4f2, which is "
                                     "attached");
    EXPECT_TRUE(blocked(twice));
}

TEST(PlanSandbox, WhatNobodyCanTellStays) {
    EXPECT_THAT(lines(plan_sandbox(std::nullopt, state_with({vgpu()}), host({{mdev_name, "sb1"}}),
                                   unknown)),
                ElementsAre("blocked sb1: the pid of its QEMU is not known"));
    // The journal comes first, and stops what is behind it.
    EXPECT_THAT(brief(plan_sandbox(vgpu_journal(), state_with({function()}), host({}), mute)),
                ElementsAre("blocked vfio-83b8f4f2"));
    EXPECT_THAT(
        brief(plan_sandbox(vgpu_journal(), state_with({}), host({{mdev_name, "sb1"}}), gone)),
        ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name, "clear_journal sb1",
                    "remove_sandbox sb1"));
}

// What waits for its guest is on record before it is plugged.
TEST(PlanJournal, APlugOfWhatIsPrepared) {
    auto waiting = vgpu();
    waiting.prepared = true;
    const auto state = state_with({waiting});
    const auto mine = host({{mdev_name, "sb1"}});
    const LeftJournal plug{"plug", {"vfio-83b8f4f2"}, {PlugStep{"vfio-83b8f4f2"}}};
    EXPECT_THAT(lines(plan_journal(plug, state, mine, running)),
                ElementsAre("unplug vfio-83b8f4f2: its attach was not brought to its end",
                            "clear_journal sb1: the unfinished plug is undone"));
    EXPECT_THAT(brief(plan_journal(plug, state, mine, gone)), ElementsAre("clear_journal sb1"));
    EXPECT_TRUE(blocked(plan_journal(plug, state, mine, mute)));
    // Once it is on record as plugged, it is kept.
    EXPECT_THAT(lines(plan_journal(plug, state_with({vgpu()}), mine, running)),
                ElementsAre("clear_journal sb1: its plug of vfio-83b8f4f2 is on record"));
    // And what prepared it is over with its record.
    EXPECT_THAT(brief(plan_journal(vgpu_journal(), state, mine, unknown)),
                ElementsAre("clear_journal sb1"));
    EXPECT_THAT(lines(plan_sandbox(std::nullopt, state, mine, running)),
                ElementsAre("keep vfio-83b8f4f2: it waits for its guest to be started"));
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state, mine, gone)),
                ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name,
                            "forget vfio-83b8f4f2", "remove_sandbox sb1"));
}

TEST(PlanGiveBack, AKeptVgpuIsHandedOver) {
    auto kept = vgpu();
    kept.keep = true;
    EXPECT_FALSE(kept.owned());
    EXPECT_THAT(brief(plan_give_back(kept, state_with({kept}), host({{mdev_name, "sb1"}}))),
                ElementsAre("drop_claim " + mdev_name, "forget vfio-83b8f4f2"));
    // But not one whose attach was never brought to its end.
    EXPECT_THAT(
        brief(plan_journal(vgpu_journal(), state_with({}), host({{mdev_name, "sb1"}}), gone)),
        ElementsAre("remove_vgpu " + uuid, "drop_claim " + mdev_name, "clear_journal sb1"));
}

TEST(PlanSandbox, WithoutItsOwner) {
    auto state = state_with({function(), vgpu()});
    state.owner_pid = 42;
    auto orphaned = running;
    orphaned.orphaned = true;
    const auto mine = host({{mdev_name, "sb1"}, {function_name, "sb1"}, {"group-1", "sb1"}});
    const auto actions = plan_sandbox(std::nullopt, state, mine, orphaned);
    EXPECT_THAT(brief(actions), ElementsAre("unplug vfio-83b8f4f2", "remove_vgpu " + uuid,
                                            "drop_claim " + mdev_name, "forget vfio-83b8f4f2",
                                            "unplug vfio-0000.00.02.0", "restore_driver " + bdf,
                                            "drop_claim " + function_name, "drop_claim group-1",
                                            "forget vfio-0000.00.02.0", "remove_sandbox sb1"));
    EXPECT_EQ(actions.front().why, "its owner, pid 42, is gone");
    // QEMU has the devices as long as it runs: without its monitor nothing can be done.
    orphaned.monitor = false;
    EXPECT_THAT(lines(plan_sandbox(std::nullopt, state, mine, orphaned)),
                ElementsAre(StartsWith("blocked sb1: its owner, pid 42, is gone, but QEMU can't")));
    auto both = gone;
    both.orphaned = true;
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state, mine, both)).back(), "remove_sandbox sb1");
}

TEST(PlanSandbox, WhatQemuSaysAgainstTheRecord) {
    const auto mine = host({{mdev_name, "sb1"}, {function_name, "sb1"}, {"group-1", "sb1"}});
    auto asked = running;
    asked.devices = {"vfio-0000.00.02.0", "vfio-0000.01.00.0"};
    const auto state = state_with({vgpu(), function()});
    const auto actions = plan_sandbox(std::nullopt, state, mine, asked);
    EXPECT_THAT(brief(actions), ElementsAre("keep vfio-0000.00.02.0", "let_go vfio-83b8f4f2",
                                            "remove_vgpu " + uuid, "drop_claim " + mdev_name,
                                            "forget vfio-83b8f4f2", "stray vfio-0000.01.00.0"));
    EXPECT_FALSE(settled(actions));
    asked.devices = {"vfio-0000.00.02.0", "vfio-83b8f4f2", "vfio-9"};
    EXPECT_TRUE(settled(plan_sandbox(std::nullopt, state, mine, asked))) << "a stray is told only";
    // What the journal is about is neither a stray nor missed.
    asked.devices = {"vfio-83b8f4f2"};
    EXPECT_THAT(
        brief(plan_sandbox(vgpu_journal(), state_with({}), host({{mdev_name, "sb1"}}), asked)),
        ElementsAre("unplug vfio-83b8f4f2", "remove_vgpu " + uuid, "drop_claim " + mdev_name,
                    "clear_journal sb1"));
    // What is prepared or unplugged is not missed.
    auto waiting = vgpu();
    waiting.prepared = true;
    asked.devices = std::set<std::string>{};
    EXPECT_THAT(brief(plan_sandbox(std::nullopt, state_with({waiting}), mine, asked)),
                ElementsAre("keep vfio-83b8f4f2"));
}

// Enabled before they can be bound, and taken away behind the claims.
TEST(PlanJournal, VirtualFunctionsOfAnAttach) {
    const LeftJournal journal{"attach",
                              {"vfio-0000.00.02.0"},
                              {ClaimStep{function_name}, EnableFunctionsStep{"0000:01:00.0"},
                               ClaimStep{"group-1"}, BindStep{bind_record()}}};
    EXPECT_THAT(brief(plan_journal(journal, state_with({}),
                                   host({{function_name, "sb1"}, {"group-1", "sb1"}}), gone)),
                ElementsAre("restore_driver " + bdf, "drop_claim group-1",
                            "drop_claim " + function_name, "disable_functions 0000:01:00.0",
                            "clear_journal sb1"));
    auto attached = function();
    attached.vf_of = "0000:01:00.0";
    attached.bound.reset();
    EXPECT_TRUE(attached.owned());
    EXPECT_THAT(brief(plan_give_back(attached, state_with({attached}),
                                     host({{function_name, "sb1"}, {"group-1", "sb1"}}))),
                ElementsAre("drop_claim " + function_name, "drop_claim group-1",
                            "disable_functions 0000:01:00.0", "forget vfio-0000.00.02.0"));
}

} // namespace
} // namespace kata_vfio::plugin
