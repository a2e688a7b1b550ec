// SPDX-License-Identifier: Apache-2.0
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;

class DryRun : public World {
  protected:
    Answer plan(std::string_view device, std::string_view uuid = {}) {
        const auto before = snapshot();
        const auto adds = machine->count("device_add");
        const auto writes = kernel->log().size();
        const auto answer = host->attach(sandbox, device, uuid, KATA_VFIO_ATTACH_DRY_RUN);
        EXPECT_TRUE(answer.ok()) << answer;
        expect_untouched(before);
        EXPECT_EQ(machine->count("device_add"), adds);
        EXPECT_EQ(kernel->log().size(), writes);
        EXPECT_EQ(answer.attachments.size(), 0u);
        EXPECT_EQ(answer.json.at("dry_run").as_bool(), true);
        EXPECT_EQ(answer.json.at("sandbox").as_string(), "sb1");
        return answer;
    }

    static std::vector<std::string> texts(const Answer& answer) {
        std::vector<std::string> found;
        for (const auto& step : answer.json.at("steps").as_array())
            found.emplace_back(step.at("text").as_string());
        return found;
    }
};

TEST_F(DryRun, OfAVgpu) {
    start_with_sandbox();
    const auto uuid = std::string(uuid_a);
    const auto answer = plan(type8, uuid);
    EXPECT_THAT(texts(answer),
                ElementsAre("claim mdev-" + uuid,
                            "create vGPU " + uuid + " of type i915-GVTg_V4_8 on 0000:00:02.0",
                            "plug vfio-" + uuid.substr(0, 8) + " into pci.0"));
    const auto& plug = answer.json.at("steps").at(2);
    const boost::json::object wanted{{"execute", "device_add"},
                                     {"arguments",
                                      {{"driver", "vfio-pci"},
                                       {"id", "vfio-" + uuid.substr(0, 8)},
                                       {"bus", "pci.0"},
                                       {"addr", "05.0"},
                                       {"sysfsdev", "/sys/bus/mdev/devices/" + uuid}}}};
    EXPECT_EQ(plug.at("qmp").as_object(), wanted);
    const auto& attachment = answer.json.at("attachments").at(0);
    EXPECT_EQ(attachment.at("uuid").as_string(), uuid);
    EXPECT_EQ(attachment.at("mdev_type").as_string(), type8);
    EXPECT_EQ(attachment.at("owned").as_bool(), true);
}

TEST_F(DryRun, OfAFunctionTellsTheDriverItHasNow) {
    start_with_sandbox();
    const auto answer = plan(gpu);
    EXPECT_THAT(texts(answer), ElementsAre("claim function-0000:00:02.0", "claim group-1",
                                           "bind 0000:00:02.0 to vfio-pci (now i915)",
                                           "plug vfio-0000.00.02.0 into pci.0"));
}

TEST_F(DryRun, OfAGroup) {
    fake::FunctionSpec function;
    function.driver = "vfio-pci";
    function.group = 5;
    for (const char* address : {"0000:01:00.0", "0000:01:00.1"}) {
        function.address = address;
        root.populate_function(function);
    }
    start_with_sandbox();
    const auto answer = plan("/dev/vfio/5");
    // Both go into one slot, function 0 last.
    EXPECT_THAT(texts(answer), ElementsAre("claim function-0000:01:00.1", "claim group-5",
                                           "claim function-0000:01:00.0", "claim group-5",
                                           "plug vfio-0000.01.00.1 into pci.0",
                                           "plug vfio-0000.01.00.0 into pci.0"));
    const auto& steps = answer.json.at("steps").as_array();
    EXPECT_EQ(steps.at(4).at("qmp").at("arguments").at("addr").as_string(), "05.1");
    EXPECT_EQ(steps.at(5).at("qmp").at("arguments").at("addr").as_string(), "05.0");
}

TEST_F(DryRun, RefusesWhatAnAttachWould) {
    start_with_sandbox();
    const auto before = snapshot();
    const auto answer = host->attach(sandbox, "i915-GVTg_V4_3", {}, KATA_VFIO_ATTACH_DRY_RUN);
    expect_refused(answer, KATA_VFIO_E_TYPE_NOT_FOUND, before);
}

} // namespace
} // namespace kata_vfio::abi_test
