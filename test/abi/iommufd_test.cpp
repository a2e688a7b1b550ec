// SPDX-License-Identifier: Apache-2.0
// Devices by their own nodes and /dev/iommu: where configuration, kernel and QEMU all offer it.
#include "test/abi/world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;

class Iommufd : public World {
  protected:
    void begin(bool kernel_has_it, bool qemu_has_it, std::string_view setting = "auto") {
        configure(configuration("iommufd = \"" + std::string(setting) + "\""));
        fake::FakeMachine::Options options;
        options.iommufd = qemu_has_it;
        machine = std::make_unique<fake::FakeMachine>(options);
        if (kernel_has_it) {
            root.write("/dev/iommu", "");
            root.write("/dev/vfio/devices/vfio0", ""); // of the function, once it is bound
        }
        start_with_sandbox();
    }
    /// The "iommufd" of each device_add since the last call, "-" for one without.
    std::vector<std::string> ways() {
        std::vector<std::string> out;
        const auto commands = machine->commands();
        for (auto command = commands.begin() + static_cast<std::ptrdiff_t>(seen_);
             command != commands.end(); ++command) {
            if (command->at("execute").as_string() != "device_add")
                continue;
            const auto* object = command->at("arguments").as_object().if_contains("iommufd");
            out.emplace_back(object ? std::string(object->as_string()) : "-");
        }
        seen_ = commands.size();
        return out;
    }
    void attach_and_detach(std::string_view device) {
        const auto before = snapshot();
        const auto attached = host->attach(sandbox, device);
        ASSERT_TRUE(attached.ok()) << attached;
        const auto detached = host->detach(sandbox, device);
        ASSERT_TRUE(detached.ok()) << detached;
        expect_untouched(before);
    }

  private:
    std::size_t seen_ = 0;
};

TEST_F(Iommufd, AllOfferIt) {
    begin(true, true);
    EXPECT_THAT(ways(), ElementsAre("-")); // a vGPU, whose driver has no node of its own
    EXPECT_EQ(machine->count("object-add"), 0u);
    attach_and_detach(gpu);
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("vfio-iommufd", "vfio-iommufd"));
    EXPECT_EQ(machine->count("object-add"), 1u);
    EXPECT_EQ(machine->count("query-qmp-schema"), 1u);
    EXPECT_EQ(machine->count("device-list-properties"), 1u);

    // Another process: QEMU has the object from the first one.
    restart(configuration("iommufd = \"auto\""));
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("vfio-iommufd"));
    EXPECT_EQ(machine->count("object-add"), 2u);
}

TEST_F(Iommufd, OffIsTheDefaultAndAsksNothing) {
    begin(true, true, "off");
    attach_and_detach(gpu);
    restart(configuration());
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("-", "-", "-"));
    EXPECT_EQ(machine->count("query-qmp-schema"), 0u);
    EXPECT_EQ(machine->count("object-add"), 0u);
}

TEST_F(Iommufd, AKernelWithoutItIsNoReasonToAskQemu) {
    begin(false, true);
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("-", "-"));
    EXPECT_EQ(machine->count("query-qmp-schema"), 0u);
}

TEST_F(Iommufd, AQemuWithoutItIsAskedOnce) {
    begin(true, false);
    attach_and_detach(gpu);
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("-", "-", "-"));
    EXPECT_EQ(machine->count("query-qmp-schema"), 1u);
    EXPECT_EQ(machine->count("object-add"), 0u);
}

TEST_F(Iommufd, WhatQemuCannotOpenGoesInByItsGroup) {
    begin(true, true);
    machine->refuse_iommufd("vfio 0000:00:02.0: Could not open '/dev/iommu': No such file or "
                            "directory");
    (void)ways();
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("vfio-iommufd", "-"));
    attach_and_detach(gpu);
    EXPECT_THAT(ways(), ElementsAre("-")) << "tried once a connection";
}

TEST_F(Iommufd, WhatIsRefusedEitherWayIsToldAndUndone) {
    begin(true, true);
    (void)ways();
    const auto before = snapshot();
    machine->refuse_device_add("vfio 0000:00:02.0: group 2 is not viable");
    const auto answer = host->attach(sandbox, gpu);
    expect_refused(answer, KATA_VFIO_E_GROUP_NOT_VIABLE, before);
    machine->refuse_device_add("");
}

TEST_F(Iommufd, ADryRunShowsWhatIsSent) {
    const std::string with = "{\"execute\":\"object-add\",\"arguments\":{\"qom-type\":\"iommufd\","
                             "\"id\":\"vfio-iommufd\"}} vfio-iommufd";
    const struct {
        bool kernel, nodes, qemu;
        const char* setting;
        std::string shown;
    } cases[] = {{true, true, true, "auto", with},
                 {true, true, false, "auto", "-"},
                 {true, false, true, "auto", "-"},
                 {false, true, true, "auto", "-"},
                 {true, true, true, "off", "-"}};
    start();
    int number = 0;
    for (const auto& [kernel_has_it, nodes, qemu_has_it, setting, shown] : cases) {
        SCOPED_TRACE(testing::Message() << kernel_has_it << nodes << qemu_has_it << setting);
        host.reset();
        configure(configuration("iommufd = \"" + std::string(setting) + "\""));
        fake::FakeMachine::Options options;
        options.iommufd = qemu_has_it;
        machine = std::make_unique<fake::FakeMachine>(options);
        std::filesystem::remove(root.at("/dev/iommu"));
        if (kernel_has_it)
            root.write("/dev/iommu", "");
        root.write("/proc/devices", nodes ? "Character devices:\n  1 mem\n239 vfio-dev\n"
                                          : "Character devices:\n  1 mem\n");
        host = std::make_unique<PluginHost>(config, root.path());
        const auto opened = host->open("sb" + std::to_string(++number), machine->path());
        ASSERT_TRUE(opened.ok()) << opened;
        const auto answer = host->attach(opened.sandbox, gpu, {}, KATA_VFIO_ATTACH_DRY_RUN);
        ASSERT_TRUE(answer.ok()) << answer;
        const auto& plug = answer.json.at("steps").as_array().back().as_object();
        const auto* before = plug.if_contains("qmp_before");
        const auto& arguments = plug.at("qmp").at("arguments").as_object();
        const auto* object = arguments.if_contains("iommufd");
        EXPECT_EQ((before ? boost::json::serialize(*before) + " " : "") +
                      (object ? std::string(object->as_string()) : "-"),
                  shown);
        EXPECT_EQ(machine->count("object-add"), 0u);
        EXPECT_EQ(machine->count("device_add"), 0u);
    }
}

} // namespace
} // namespace kata_vfio::abi_test
