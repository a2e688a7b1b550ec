// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/step.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::plugin {
namespace {

namespace json = boost::json;

vfio::BindRecord record() {
    vfio::BindRecord record;
    record.address = *vfio::PciAddress::parse("0000:00:02.0");
    record.earlier_driver = "i915";
    record.driver = "vfio-pci";
    record.changed = true;
    return record;
}

Step round_trip(const Step& step) {
    return step_from_json(json::parse(json::serialize(to_json(step))).as_object());
}

TEST(Step, RoundTrips) {
    EXPECT_EQ(std::get<ClaimStep>(round_trip(ClaimStep{"group-1"})).claim, "group-1");
    const auto vgpu = std::get<CreateVgpuStep>(round_trip(CreateVgpuStep{"u", "p", "t"}));
    EXPECT_EQ(vgpu.uuid + vgpu.parent + vgpu.type, "upt");
    EXPECT_EQ(std::get<PlugStep>(round_trip(PlugStep{"vfio-x"})).id, "vfio-x");
    EXPECT_EQ(std::get<EnableFunctionsStep>(round_trip(EnableFunctionsStep{"p"})).parent, "p");
    const LentNode node{7, 0, 64055, 12345678901};
    const auto chown = std::get<ChownNodeStep>(round_trip(ChownNodeStep{node, "mdev-u"}));
    EXPECT_EQ(chown.node, node);
    EXPECT_EQ(chown.claim, "mdev-u");
    auto bind = record();
    EXPECT_EQ(std::get<BindStep>(round_trip(BindStep{bind})).record, bind);
    bind.earlier_driver.reset();
    bind.earlier_override = "";
    bind.changed = false;
    EXPECT_EQ(std::get<BindStep>(round_trip(BindStep{bind})).record, bind);
}

TEST(Step, Texts) {
    EXPECT_EQ(text(ClaimStep{"group-1"}), "claim group-1");
    EXPECT_EQ(text(CreateVgpuStep{"u", "p", "t"}), "create vGPU u of type t on p");
    auto bind = record();
    EXPECT_EQ(text(BindStep{bind}), "bind 0000:00:02.0 to vfio-pci (now i915)");
    bind.earlier_driver.reset();
    EXPECT_EQ(text(BindStep{bind}), "bind 0000:00:02.0 to vfio-pci (now without a driver)");
    EXPECT_EQ(text(PlugStep{"vfio-x"}), "plug vfio-x into pci.0");
    EXPECT_EQ(text(ChownNodeStep{{7, 0, 64055, 1}, "mdev-u"}),
              "make /dev/vfio/7 user 64055's for as long as it is attached");
}

TEST(Step, JsonHasAStableShape) {
    EXPECT_EQ(json::serialize(to_json(CreateVgpuStep{"u", "p", "t"})),
              R"({"step":"create_vgpu","uuid":"u","parent":"p","type":"t"})");
    EXPECT_EQ(json::serialize(to_json(BindStep{record()})),
              R"({"step":"bind","record":{"address":"0000:00:02.0","earlier_driver":"i915",)"
              R"("earlier_override":null,"driver":"vfio-pci","changed":true}})");
}

TEST(Step, WhatIsNoStepThrows) {
    for (const char* text :
         {R"({})", R"({"step":1})", R"({"step":"claim"})", R"({"step":"claim","claim":7})",
          R"({"step":"bind","record":{}})", R"({"step":"unknown"})",
          R"({"step":"chown_node","claim":"c"})",
          R"({"step":"bind","record":{"address":"nonsense","earlier_driver":null,)"
          R"("earlier_override":null,"driver":"vfio-pci","changed":true}})"})
        EXPECT_ANY_THROW(step_from_json(json::parse(text).as_object())) << text;
}

} // namespace
} // namespace kata_vfio::plugin
