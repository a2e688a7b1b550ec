// SPDX-License-Identifier: Apache-2.0
#include "vfio/bind_plan.hpp"

#include <gtest/gtest.h>

#include <sstream>

using namespace kata_vfio::vfio;

namespace {

using Maybe = std::optional<std::string>;

std::string line(const std::vector<BindStep>& steps) {
    std::ostringstream out;
    for (const auto& step : steps)
        out << step << "; ";
    return out.str();
}

/// What the steps make of a state, when every one has its effect.
BindState apply(BindState state, const std::vector<BindStep>& steps) {
    for (const auto& step : steps)
        switch (step.kind) {
        case BindStep::Kind::set_override:
            state.driver_override = step.value.empty() ? Maybe() : Maybe(step.value);
            break;
        case BindStep::Kind::unbind:
            EXPECT_EQ(state.driver, step.value);
            state.driver.reset();
            break;
        case BindStep::Kind::probe:
            EXPECT_FALSE(state.driver) << "a probe of a bound function does nothing";
            EXPECT_EQ(state.driver_override, step.value) << "nothing makes that driver bind";
            state.driver = state.driver_override;
            break;
        }
    return state;
}

BindRecord record(Maybe driver, Maybe driver_override) {
    BindRecord r;
    r.earlier_driver = std::move(driver);
    r.earlier_override = std::move(driver_override);
    r.changed = true;
    return r;
}

} // namespace

TEST(BindPlan, Bind) {
    EXPECT_EQ(line(plan_bind({"i915", std::nullopt}, "vfio-pci")),
              "override 'vfio-pci'; unbind i915; probe vfio-pci; ");
    EXPECT_EQ(line(plan_bind({std::nullopt, std::nullopt}, "vfio-pci")),
              "override 'vfio-pci'; probe vfio-pci; ");
    EXPECT_EQ(line(plan_bind({"i915", "vfio-pci"}, "vfio-pci")), "unbind i915; probe vfio-pci; ");
    EXPECT_EQ(line(plan_bind({"vfio-pci", std::nullopt}, "vfio-pci")), "");
}

TEST(BindPlan, Restore) {
    EXPECT_EQ(line(*plan_restore({"vfio-pci", "vfio-pci"}, record("i915", {}))),
              "override 'i915'; unbind vfio-pci; probe i915; override ''; ");
    EXPECT_EQ(line(*plan_restore({"vfio-pci", "vfio-pci"}, record({}, {}))),
              "unbind vfio-pci; override ''; ");
    EXPECT_EQ(line(*plan_restore({"vfio-pci", "vfio-pci"}, record("i915", "i915"))),
              "override 'i915'; unbind vfio-pci; probe i915; ");
    EXPECT_EQ(line(*plan_restore({"i915", {}}, record("i915", {}))), "");
    auto untouched = record("i915", {});
    untouched.changed = false;
    EXPECT_EQ(line(*plan_restore({"vfio-pci", "vfio-pci"}, untouched)), "");
}

TEST(BindPlan, ForeignChangesAreNotOurs) {
    EXPECT_FALSE(plan_restore({"nouveau", "vfio-pci"}, record("i915", {})));
    EXPECT_FALSE(plan_restore({"vfio-pci", "pci-stub"}, record("i915", {})));
    EXPECT_FALSE(plan_restore({{}, "pci-stub"}, record("i915", {})));
}

/// Every prefix of a bind, and of the restore that follows it, is a place a crash can happen.
TEST(BindPlan, RestoreIsRightAfterACrashAnywhere) {
    const std::vector<BindState> earliers{{"i915", {}},     {"i915", "i915"}, {"i915", "vfio-pci"},
                                          {{}, {}},         {{}, "vfio-pci"}, {"i915", "other"},
                                          {{}, "something"}};
    int states = 0;
    for (const auto& earlier : earliers) {
        const auto r = record(earlier.driver, earlier.driver_override);
        const auto forward = plan_bind(earlier, "vfio-pci");
        for (std::size_t done = 0; done <= forward.size(); ++done) {
            const auto crashed =
                apply(earlier, {forward.begin(), forward.begin() + static_cast<long>(done)});
            const auto back = plan_restore(crashed, r);
            ASSERT_TRUE(back) << text(earlier) << " crashed at " << text(crashed);
            EXPECT_EQ(apply(crashed, *back), earlier) << text(crashed);
            for (std::size_t redo = 0; redo <= back->size(); ++redo) {
                const auto again =
                    apply(crashed, {back->begin(), back->begin() + static_cast<long>(redo)});
                const auto rest = plan_restore(again, r);
                ASSERT_TRUE(rest) << text(earlier) << " crashed twice at " << text(again);
                EXPECT_EQ(apply(again, *rest), earlier) << text(again);
                ++states;
            }
        }
    }
    EXPECT_EQ(states, 59) << "a plan has become longer or shorter";
}

TEST(BindPlan, UndoTakesAStrangerOff) {
    EXPECT_EQ(line(plan_undo({"stranger", "vfio-pci"}, {"i915", {}})),
              "override 'i915'; unbind stranger; probe i915; override ''; ");
    EXPECT_EQ(line(plan_undo({{}, "vfio-pci"}, {"i915", "keep"})),
              "override 'i915'; probe i915; override 'keep'; ");
}

TEST(BindPlan, TextsForPeople) {
    const auto gpu = *PciAddress::parse("0000:00:02.0");
    EXPECT_EQ(text(BindStep{BindStep::Kind::set_override, "vfio-pci"}, gpu),
              "write vfio-pci to /sys/bus/pci/devices/0000:00:02.0/driver_override");
    EXPECT_EQ(text(BindStep{BindStep::Kind::set_override, ""}, gpu),
              "clear /sys/bus/pci/devices/0000:00:02.0/driver_override");
    EXPECT_EQ(text(BindStep{BindStep::Kind::unbind, "i915"}, gpu),
              "write 0000:00:02.0 to /sys/bus/pci/drivers/i915/unbind");
    EXPECT_EQ(text(BindStep{BindStep::Kind::probe, "vfio-pci"}, gpu),
              "write 0000:00:02.0 to /sys/bus/pci/drivers_probe, and see that vfio-pci has bound");
    EXPECT_EQ(text(BindState{{}, "x"}), "no driver, driver_override x");
}
