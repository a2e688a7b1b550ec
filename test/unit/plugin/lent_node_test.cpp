// SPDX-License-Identifier: Apache-2.0
// What recovery.hpp plans for a node that was made QEMU's user's.
#include "runtime-plugin/plugin/recovery.hpp"

#include "test/unit/plugin/recovery_cases.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using namespace recovery_cases;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

const std::string restored = "restore_owner /dev/vfio/1";

HostPicture host(const std::map<std::string, std::string>& owners) {
    HostPicture picture;
    picture.functions[bdf] = {"vfio-pci", 1};
    for (const auto& [claim, owner] : owners)
        picture.claims[claim] = Claim{owner, 0, 0};
    return picture;
}

const LentNode lent_node{1, 0, 64055, 9};

Attachment lent(std::string id) {
    auto attachment = Attachment();
    attachment.kind = Kind::pci;
    attachment.host_address = bdf;
    attachment.iommu_group = 1;
    attachment.bound = bind_record();
    attachment.id = std::move(id);
    attachment.lent = lent_node;
    return attachment;
}

TEST(LentNodes, GoBackBeforeTheDriver) {
    const auto actions =
        plan_give_back(lent("one"), state_with({lent("one")}), host({{function_name, "sb1"}}));
    ASSERT_THAT(brief(actions), ElementsAre(restored, "restore_driver " + bdf,
                                            "drop_claim " + function_name, "forget one"));
    EXPECT_EQ(actions.front().lent, lent_node);
}

TEST(LentNodes, StayWhileTheGroupHasAnotherDevice) {
    const auto state = state_with({lent("one"), lent("two")});
    EXPECT_THAT(brief(plan_give_back(lent("one"), state, host({{function_name, "sb1"}}))),
                Not(Contains(restored)));
    auto unplugged = state;
    unplugged.attachments[1].unplugged = true;
    EXPECT_THAT(brief(plan_give_back(lent("one"), unplugged, host({{function_name, "sb1"}}))),
                Contains(restored))
        << "QEMU has let that go as well";
}

TEST(LentNodes, OfWhatIsAnothersAreLeftAlone) {
    auto attachment = lent("one");
    attachment.unplugged = true;
    for (const auto* owner : {"sb2", ""}) {
        auto picture = host({{function_name, owner}});
        if (std::string_view(owner).empty())
            picture.claims.clear();
        EXPECT_THAT(brief(plan_give_back(attachment, state_with({attachment}), picture)),
                    Not(Contains(restored)))
            << owner;
    }
}

TEST(LentNodes, AreTakenBackFromAnUnfinishedAttach) {
    const LeftJournal journal{"attach",
                              {"one"},
                              {ClaimStep{function_name}, BindStep{bind_record()},
                               ChownNodeStep{lent_node, function_name}, PlugStep{"one"}}};
    EXPECT_THAT(brief(plan_journal(journal, state_with({}), host({{function_name, "sb1"}}), gone)),
                ElementsAre(restored, "restore_driver " + bdf, "drop_claim " + function_name,
                            "clear_journal sb1"));
    EXPECT_THAT(brief(plan_journal(journal, state_with({}), host({}), gone)),
                Not(Contains(restored)));
}

} // namespace
} // namespace kata_vfio::plugin
