// SPDX-License-Identifier: Apache-2.0
// Where a vGPU is made, GVT-g's rules, what is checked before QEMU is asked, and what reconcile
// hears from QEMU.
#include "test/abi/world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace json = boost::json;

constexpr std::string_view second = "0000:80:02.0";

class Placement : public World {
  protected:
    /// A second GPU with GVT-g, of which `pool` sevenths are free.
    void populate_second(unsigned pool = 7, int node = -1) {
        fake::FunctionSpec function;
        function.address = std::string(second);
        function.group = 3;
        function.numa_node = node;
        root.populate_function(function);
        fake::MdevTypeSpec type;
        type.id = std::string(type8);
        type.description = "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\n"
                           "resolution: 1024x768\nweight: 2\n";
        fake::ParentSpec parent;
        parent.name = std::string(second);
        parent.pool = pool;
        parent.types = {type};
        root.populate_mdev_parent(parent);
    }
    std::string parent_of(std::string_view device) {
        const auto answer = host->attach(sandbox, device);
        EXPECT_TRUE(answer.ok()) << answer;
        if (!answer.ok())
            return answer.message;
        EXPECT_TRUE(host->detach(sandbox, answer.attachments[0].id).ok());
        return answer.attachments[0].host_address;
    }
};

TEST_F(Placement, PackAndSpread) {
    populate_second(3);
    start_with_sandbox();
    EXPECT_EQ(parent_of(type8), second);
    EXPECT_EQ(parent_of(std::string(type8) + "@" + std::string(gpu)), gpu);
    restart(configuration("placement = \"spread\""));
    EXPECT_EQ(parent_of(type8), gpu);
    restart(configuration("allowed_parents = [\"" + std::string(second) + "\"]"));
    EXPECT_EQ(parent_of("vgpu:low_gm=64MB"), second);
}

TEST_F(Placement, TheBestFit) {
    populate_second();
    start_with_sandbox();
    const auto answer = host->attach(sandbox, "vgpu:low_gm=100MB,resolution=1920x1200", uuid_a);
    ASSERT_TRUE(answer.ok()) << answer;
    EXPECT_EQ(answer.attachments[0].mdev_type, "i915-GVTg_V4_4");
    EXPECT_EQ(answer.attachments[0].uuid, uuid_a);
    ASSERT_TRUE(host->detach(sandbox, "vgpu:low_gm=100MB,resolution=1920x1200").ok());
    const auto before = snapshot();
    const auto none = host->attach(sandbox, "vgpu:low_gm=1GB");
    expect_refused(none, KATA_VFIO_E_TYPE_NOT_FOUND, before);
    EXPECT_EQ(none.problem, "no parent offers a vGPU with at least low_gm 1024MB");
    EXPECT_THAT(none.blocker,
                HasSubstr(std::string(second) + ": i915-GVTg_V4_8 has low_gm 64MB of 1024MB"));
    expect_refused(host->attach(sandbox, "vgpu:low_gm=1MB@no-such"), KATA_VFIO_E_PARENT_NOT_FOUND,
                   before);
}

TEST_F(Placement, EachParentIsNamedWhenNoneHasRoom) {
    populate_second(0);
    root.populate_mdev(std::string(gpu), "i915-GVTg_V4_1", std::string(uuid_b), 9);
    start();
    machine->fill_bus(3);
    const auto opened = host->open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto before = snapshot();
    const auto none = host->attach(opened.sandbox, type8);
    expect_refused(none, KATA_VFIO_E_NO_INSTANCES, before);
    EXPECT_EQ(none.blocker, std::string(gpu) + ": of i915-GVTg_V4_8 no instance is left; " +
                                std::string(second) + ": of i915-GVTg_V4_8 no instance is left");
}

TEST_F(Placement, OneGvtVgpuForAVm) {
    root.populate_mtty();
    root.populate_mdev(std::string(gpu), std::string(type8), std::string(uuid_b), 9);
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    const auto before = snapshot();
    for (const auto device :
         {type8, uuid_b, std::string_view("/dev/vfio/9"), std::string_view("vgpu:low_gm=64MB")}) {
        const auto answer = host->attach(sandbox, device);
        expect_refused(answer, KATA_VFIO_E_GVT_REFUSED, before);
        EXPECT_THAT(answer.blocker, HasSubstr(std::string(uuid_a)));
    }
    EXPECT_TRUE(host->attach(sandbox, "mtty-1").ok());
    ASSERT_TRUE(host->detach(sandbox, uuid_a).ok());
    EXPECT_TRUE(host->attach(sandbox, uuid_b).ok());
}

TEST_F(Placement, GvtNeedsKvm) {
    root.populate_mtty();
    machine->without_kvm(true);
    machine->fill_bus(3);
    start();
    const auto opened = host->open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    const auto before = snapshot();
    const auto answer = host->attach(opened.sandbox, type8);
    expect_refused(answer, KATA_VFIO_E_GVT_REFUSED, before);
    EXPECT_THAT(answer.problem, HasSubstr("with KVM alone"));
    EXPECT_TRUE(host->attach(opened.sandbox, "mtty-1").ok());
    EXPECT_TRUE(host->attach(opened.sandbox, gpu).ok());
}

TEST_F(Placement, ABalloonAndABarThatDoesNotFit) {
    start_with_sandbox();
    const auto before = snapshot();
    machine->answer_with("query-memory-size-summary",
                         {{"base-memory", 2147483648}, {"plugged-memory", 0}});
    machine->answer_with("query-balloon", {{"actual", 1073741824}});
    const auto balloon = host->attach(sandbox, gpu);
    expect_refused(balloon, KATA_VFIO_E_LIMIT_TOO_LOW, before);
    EXPECT_THAT(balloon.problem, HasSubstr("holds 1024 MiB of its 2048 MiB"));
    machine->answer_with("query-balloon", {{"actual", 2147483648}});
    // A window of 64 MB, of which the card in slot 2 has the middle.
    machine->answer_with("pci-hole-start", 4177526784);
    machine->answer_with("pci-hole-end", 4244635648);
    machine->place_regions(4211081216, 1048576);
    const auto bar = host->attach(sandbox, gpu);
    expect_refused(bar, KATA_VFIO_E_LIMIT_TOO_LOW, before);
    EXPECT_THAT(bar.problem, HasSubstr("BAR 2 takes 256 MiB"));
    EXPECT_EQ(driver_of(gpu), "i915");
    machine->answer_with("pci-hole-start", 2147483648);
    EXPECT_TRUE(host->attach(sandbox, gpu).ok());
}

TEST_F(Placement, ReconcileHearsWhatQemuHas) {
    start_with_sandbox();
    const auto untouched = snapshot();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    auto answer = host->reconcile();
    EXPECT_EQ(answer.json.at("sandboxes").at(0).at("verdict").as_string(), "kept");

    machine->eject("vfio-" + std::string(uuid_a.substr(0, 8)));
    answer = host->reconcile();
    const auto& given_back = answer.json.at("sandboxes").at(0);
    EXPECT_EQ(given_back.at("verdict").as_string(), "recovered");
    EXPECT_EQ(given_back.at("actions").at(0).at("action").as_string(), "let_go");
    EXPECT_TRUE(host->list("sb1").attachments.empty());
    expect_untouched(untouched);

    machine->add_device("vfio-0000.00.1e.0");
    answer = host->reconcile(false, "sb1");
    const auto& stray = answer.json.at("sandboxes").at(0);
    EXPECT_EQ(stray.at("verdict").as_string(), "kept");
    EXPECT_EQ(stray.at("actions").at(0).at("action").as_string(), "stray");
    EXPECT_THAT(std::string(stray.at("why").as_string()), HasSubstr("it is not on record"));
    EXPECT_THAT(plugged(), ElementsAre("vfio-0000.00.1e.0"));
    expect_untouched(untouched);
}

// Without the sandbox open, only one that is named has its monitor asked.
TEST_F(Placement, ReconcileByNameConnects) {
    start_with_sandbox();
    ASSERT_TRUE(host->attach(sandbox, type8, uuid_a).ok());
    host->close(sandbox);
    machine->eject("vfio-" + std::string(uuid_a.substr(0, 8)));
    (void)host->reconcile(true, "sb1");
    EXPECT_EQ(names("/sys/bus/mdev/devices"), uuid_a);
    const auto answer = host->reconcile(false, "sb1");
    EXPECT_EQ(answer.json.at("sandboxes").at(0).at("verdict").as_string(), "recovered");
    EXPECT_EQ(names("/sys/bus/mdev/devices"), "");
    EXPECT_TRUE(host->open("sb1", "").ok());
}

} // namespace
} // namespace kata_vfio::abi_test
