// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/target.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::ElementsAre;

const std::string type8 = "i915-GVTg_V4_8", first = "0000:00:02.0", second = "0000:80:02.0";

class PlaceElsewhere : public ::testing::Test {
  protected:
    PlaceElsewhere() {
        root.populate_gvt_host();
        fake::FunctionSpec function;
        function.address = second;
        function.group = 3;
        root.populate_function(function);
        fake::MdevTypeSpec type;
        type.id = type8;
        fake::ParentSpec parent;
        parent.name = second;
        parent.pool = 3;
        parent.types = {type};
        root.populate_mdev_parent(parent);
    }
    Target placed(std::string_view device) {
        const StateDir state(root.at("/run/kata-vfio"));
        const Claims claims(state, root.host());
        return resolve(root.host(), policy, state, claims, sandbox, parse_device(device),
                       std::string(device))
            .at(0);
    }
    bool again(Target& target) { return place_elsewhere(root.host(), policy, sandbox, target); }

    fake::FakeRoot root;
    config::Vfio policy;
    SandboxState sandbox;
};

// As a pool in pieces does: there is room by the file, and create says ENOSPC.
TEST_F(PlaceElsewhere, EachParentOnce) {
    auto target = placed(type8);
    EXPECT_EQ(target.attachment.host_address, second); // pack: the one with less left
    EXPECT_TRUE(again(target));
    EXPECT_EQ(target.attachment.host_address, first);
    EXPECT_EQ(target.attachment.mdev_type, type8);
    EXPECT_FALSE(again(target));
}

TEST_F(PlaceElsewhere, CapacityIsReadAgain) {
    auto target = placed(type8);
    // Meanwhile the other parent has been used up.
    root.populate_mdev(first, "i915-GVTg_V4_1", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", 9);
    EXPECT_FALSE(again(target));
}

TEST_F(PlaceElsewhere, NotWhereTheRequestNamesOne) {
    auto target = placed(type8 + "@" + second);
    EXPECT_FALSE(again(target));
    EXPECT_EQ(target.attachment.host_address, second);
}

TEST(AttachmentsOf, ByFunctionWithinASlot) {
    const auto target = [](const char* name, unsigned function, bool shares) {
        Target made;
        made.attachment.host_address = name;
        made.guest_function = function;
        made.shares_slot = shares;
        return made;
    };
    std::vector<std::string> names;
    for (const auto& each :
         attachments_of({target("a", 0, false), target("b2", 2, true), target("b1", 1, true),
                         target("b0", 0, true), target("c", 0, false)}))
        names.push_back(each.host_address);
    EXPECT_THAT(names, ElementsAre("a", "b0", "b1", "b2", "c"));
}

TEST(IsGvt, ByTheTypesName) {
    EXPECT_TRUE(is_gvt("i915-GVTg_V5_8"));
    EXPECT_FALSE(is_gvt("mtty-1"));
    EXPECT_FALSE(is_gvt(""));
}

} // namespace
} // namespace kata_vfio::plugin
