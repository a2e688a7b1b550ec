// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/virtual_functions.hpp"

#include "config/base/failure.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

const std::string a = "0000:01:00.0", b = "0000:02:00.0";

/// Eight functions at BUS:02, of which the first `claimed` are sandboxes' and the next `hosts` the
/// host's.
VirtualFunctionParent parent(const std::string& address, unsigned claimed, unsigned hosts = 0,
                             int node = -1) {
    VirtualFunctionParent made{vfio::PciAddress::require(address), node, {}};
    for (unsigned i = 0; i < 8; ++i)
        made.functions.push_back(
            {vfio::PciAddress::require(address.substr(0, 8) + "02." + std::to_string(i)), true,
             i < claimed, i >= claimed && i < claimed + hosts});
    return made;
}

config::Vfio policy(const std::string& placement, std::vector<std::string> parents = {"*"}) {
    config::Vfio made;
    made.placement = placement;
    made.allowed_parents = std::move(parents);
    return made;
}

std::string place(const std::vector<VirtualFunctionParent>& parents, const config::Vfio& under,
                  std::optional<std::string> wanted = std::nullopt, std::set<int> near = {}) {
    try {
        return place_function(parents, wanted, under, near).function.text();
    } catch (const Failure& failure) {
        return std::string(name(failure.code()));
    }
}

TEST(PlaceFunction, ByTable) {
    const auto pack = policy("pack"), spread = policy("spread");
    struct Row {
        const char* what;
        std::string got, expected;
    };
    const Row rows[] = {
        {"the lowest free one", place({parent(a, 0)}, pack), "0000:01:02.0"},
        {"behind the taken", place({parent(a, 2, 1)}, pack), "0000:01:02.3"},
        {"pack", place({parent(a, 1), parent(b, 5)}, pack), "0000:02:02.5"},
        {"spread", place({parent(a, 1), parent(b, 5)}, spread), "0000:01:02.1"},
        {"a full one is passed", place({parent(a, 1), parent(b, 8)}, pack), "0000:01:02.1"},
        {"the one asked for", place({parent(a, 1), parent(b, 5)}, pack, a), "0000:01:02.1"},
        {"near", place({parent(a, 1, 0, 0), parent(b, 5, 0, 1)}, pack, {}, {0}), "0000:01:02.1"},
        {"alike: by address", place({parent(b, 0), parent(a, 0)}, pack), "0000:01:02.0"},
        {"full", place({parent(a, 4, 4)}, pack), "no_instances"},
        {"none", place({}, pack), "parent_not_found"},
        {"not that one", place({parent(a, 0)}, pack, b), "parent_not_found"},
        {"not allowed", place({parent(a, 0)}, policy("pack", {b})), "not_allowed"},
        {"only the allowed", place({parent(a, 5), parent(b, 0)}, policy("pack", {b})),
         "0000:02:02.0"},
        {"allowed and full", place({parent(a, 0), parent(b, 8)}, policy("pack", {b})),
         "no_instances"},
    };
    for (const auto& row : rows)
        EXPECT_EQ(row.got, row.expected) << row.what;
}

TEST(PlaceFunction, SaysWhichParentLacksWhat) {
    try {
        (void)place_function({parent(a, 6, 2), parent(b, 0)}, std::nullopt, policy("pack", {a}),
                             {});
        ADD_FAILURE();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.blocker(),
                  "0000:01:00.0: of 8 virtual functions 6 are sandboxes' and 2 are the host's; "
                  "0000:02:00.0 is not in allowed_parents");
    }
}

} // namespace
} // namespace kata_vfio::plugin
