// SPDX-License-Identifier: Apache-2.0
#include "mdev/placement.hpp"

#include <gmock/gmock.h>

#include <functional>

namespace kata_vfio::mdev {
namespace {

using ::testing::HasSubstr;
using Order = PlacementPolicy::Order;

const std::string a = "0000:00:02.0", b = "0000:80:02.0";
const std::vector<std::string> everything{"*"};

MdevType type(int share, unsigned left) {
    MdevType made;
    made.id = "i915-GVTg_V4_" + std::to_string(share);
    const std::map<int, GvtResources> table{{1, {512, 2048, 4, "1920x1200", 16}},
                                            {2, {256, 1024, 4, "1920x1200", 8}},
                                            {4, {128, 512, 4, "1920x1200", 4}},
                                            {8, {64, 384, 4, "1024x768", 2}}};
    made.gvt = table.at(share);
    made.available_instances = left;
    return made;
}

/// A GPU with `left` eighths of its pool free.
MdevParent gpu(const std::string& name, unsigned left, int node = -1) {
    MdevParent parent;
    parent.name = name;
    parent.numa_node = node;
    parent.types = {type(1, left / 8), type(2, left / 4), type(4, left / 2), type(8, left)};
    return parent;
}

MdevParent mtty(unsigned left = 24) {
    MdevType single;
    single.id = "mtty-1";
    single.available_instances = left;
    MdevParent parent;
    parent.name = "mtty";
    parent.types = {single};
    return parent;
}

PlacementPolicy policy(Order order = Order::pack, std::set<int> near = {}) {
    PlacementPolicy made;
    made.order = order;
    made.allowed_types = everything;
    made.allowed_parents = everything;
    made.near = std::move(near);
    return made;
}

VgpuWish of_type(const std::string& id) {
    VgpuWish wish;
    wish.type = id;
    return wish;
}
VgpuWish at_least(std::uint64_t low, std::optional<config::Resolution> resolution = {}) {
    VgpuWish wish;
    wish.minimum.low_gm_mb = low;
    wish.minimum.resolution = resolution;
    return wish;
}

struct Row {
    const char* what;
    std::vector<MdevParent> parents;
    VgpuWish wish;
    PlacementPolicy policy;
    Placement expected;
};

const config::Resolution wide{1920, 1200};

std::vector<Row> rows() {
    const std::string v8 = "i915-GVTg_V4_8", v4 = "i915-GVTg_V4_4", v2 = "i915-GVTg_V4_2";
    auto on_b = of_type(v8);
    on_b.parent = b;
    auto refused = policy();
    refused.refused = {a};
    return {
        {"one parent", {gpu(a, 7)}, of_type(v8), policy(), {a, v8}},
        {"pack takes the fuller", {gpu(a, 7), gpu(b, 3)}, of_type(v8), policy(), {b, v8}},
        {"spread the emptier", {gpu(a, 3), gpu(b, 7)}, of_type(v8), policy(Order::spread), {b, v8}},
        {"pack passes a full one", {gpu(a, 0), gpu(b, 7)}, of_type(v8), policy(), {b, v8}},
        {"alike: by name", {gpu(b, 7), gpu(a, 7)}, of_type(v8), policy(), {a, v8}},
        {"the parent asked for", {gpu(a, 1), gpu(b, 7)}, on_b, policy(), {b, v8}},
        {"near beats pack",
         {gpu(a, 3, 0), gpu(b, 7, 1)},
         of_type(v8),
         policy(Order::pack, {1}),
         {b, v8}},
        {"far is better than none",
         {gpu(a, 3, 0), gpu(b, 0, 1)},
         of_type(v8),
         policy(Order::pack, {1}),
         {a, v8}},
        {"the smallest that has it", {gpu(a, 8)}, at_least(100), policy(), {a, v4}},
        {"exactly enough", {gpu(a, 8)}, at_least(128), policy(), {a, v4}},
        {"by resolution", {gpu(a, 8)}, at_least(0, wide), policy(), {a, v4}},
        {"a larger one when it is gone", {gpu(a, 8)}, at_least(129, wide), policy(), {a, v2}},
        {"best fit beats near",
         {[] {
              auto far = gpu(a, 8, 0);
              return far;
          }(),
          [] {
              auto close = gpu(b, 8, 1);
              close.types = {type(2, 2)};
              return close;
          }()},
         at_least(128),
         policy(Order::pack, {1}),
         {a, v4}},
        {"one that refused is passed", {gpu(a, 3), gpu(b, 7)}, of_type(v8), refused, {b, v8}},
        {"a type without figures by its name",
         {mtty()},
         of_type("mtty-1"),
         policy(),
         {"mtty", "mtty-1"}},
        {"and never by figures", {mtty(), gpu(a, 8)}, at_least(1), policy(), {a, v8}},
    };
}

TEST(Place, ByTable) {
    for (const auto& row : rows())
        EXPECT_EQ(place(row.parents, row.wish, row.policy), row.expected) << row.what;
}

Failure refused(const std::vector<MdevParent>& parents, const VgpuWish& wish,
                const PlacementPolicy& under = policy()) {
    try {
        const auto placed = place(parents, wish, under);
        ADD_FAILURE() << "placed on " << placed.parent;
    } catch (const Failure& failure) {
        return failure;
    }
    return Failure(Errc::ok, "");
}

TEST(Place, SaysWhichParentLacksWhat) {
    const auto failure = refused({gpu(a, 1), gpu(b, 3)}, at_least(256, wide));
    EXPECT_EQ(failure.code(), Errc::no_instances);
    EXPECT_EQ(failure.problem(),
              "no parent has room for a vGPU with at least low_gm 256MB and resolution 1920x1200");
    EXPECT_THAT(failure.blocker(), HasSubstr(a + ": of i915-GVTg_V4_1 no instance is left, of "
                                                 "i915-GVTg_V4_2 no instance is left, "
                                                 "i915-GVTg_V4_4 has low_gm 128MB of 256MB and "
                                                 "i915-GVTg_V4_8 has low_gm 64MB of 256MB and "
                                                 "resolution 1024x768 of 1920x1200"));
    EXPECT_THAT(failure.blocker(), HasSubstr("; " + b + ": "));
}

TEST(Place, MoreThanAnyTypeHas) {
    const auto failure = refused({gpu(a, 8), mtty()}, at_least(1024));
    EXPECT_EQ(failure.code(), Errc::type_not_found);
    EXPECT_THAT(failure.blocker(), HasSubstr("i915-GVTg_V4_1 has low_gm 512MB of 1024MB"));
    EXPECT_THAT(failure.blocker(), HasSubstr("mtty: mtty-1 has resources not told"));
}

TEST(Place, OutsideTheAllowLists) {
    const std::vector<std::string> small{"*_8"}, only_b{b};
    auto types = policy();
    types.allowed_types = small;
    auto failure = refused({gpu(a, 8)}, at_least(128), types);
    EXPECT_EQ(failure.code(), Errc::not_allowed);
    EXPECT_THAT(failure.blocker(), HasSubstr("i915-GVTg_V4_4 is not in allowed_types"));
    EXPECT_THAT(failure.blocker(), HasSubstr("i915-GVTg_V4_8 has low_gm 64MB of 128MB"));

    auto parents = policy();
    parents.allowed_parents = only_b;
    failure = refused({gpu(a, 8)}, at_least(64), parents);
    EXPECT_EQ(failure.code(), Errc::not_allowed);
    EXPECT_EQ(failure.blocker(), a + " is not in allowed_parents");
    // Room on the one that is not allowed is no room.
    failure = refused({gpu(a, 8), gpu(b, 0)}, at_least(64), parents);
    EXPECT_EQ(failure.code(), Errc::no_instances);
    EXPECT_EQ(place({gpu(a, 8), gpu(b, 8)}, at_least(64), parents).parent, b);
}

TEST(Place, WithoutAnyParent) {
    EXPECT_EQ(refused({}, at_least(64)).code(), Errc::parent_not_found);
}

TEST(Place, AllHaveRefused) {
    auto tried = policy();
    tried.refused = {a};
    const auto failure = refused({gpu(a, 8)}, at_least(64), tried);
    EXPECT_EQ(failure.code(), Errc::no_instances);
    EXPECT_EQ(failure.blocker(), a + " had room, and refused");
}

} // namespace
} // namespace kata_vfio::mdev
