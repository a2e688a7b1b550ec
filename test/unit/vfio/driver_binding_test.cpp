// SPDX-License-Identifier: Apache-2.0
#include "vfio/driver_binding.hpp"

#include "expect_failure.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "vfio/bind_plan.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/wait_path.hpp"

#include <filesystem>
#include <sstream>

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using namespace std::chrono_literals;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

const auto gpu = *PciAddress::parse("0000:00:02.0");
const std::string gpu_dir = "/sys/bus/pci/devices/0000:00:02.0";

class Binding : public testing::Test {
  protected:
    void SetUp() override { root.populate_gvt_host(); }

    BindOptions options(std::chrono::milliseconds deadline = 10s) {
        BindOptions o;
        o.deadline = deadline;
        o.before_first_write = [this](const BindRecord& r) {
            EXPECT_TRUE(r.changed);
            EXPECT_EQ(current_driver(root.host(), gpu), r.earlier_driver);
            journal.push_back(r);
        };
        return o;
    }
    std::string bind_refused(Errc code, BindOptions o) {
        return test::failure_text(code, [&] { bind_to_vfio(root.host(), gpu, o); });
    }
    std::string bind_refused(Errc code) { return bind_refused(code, options()); }
    void expect_untouched(const std::string& driver_override = "(null)\n") {
        EXPECT_EQ(current_driver(root.host(), gpu), "i915");
        EXPECT_EQ(root.read(gpu_dir + "/driver_override"), driver_override);
        EXPECT_TRUE(journal.empty());
    }
    BindState state() {
        const auto f = read_function(root.host(), gpu);
        return {f.driver, f.driver_override};
    }

    fake::FakeRoot root;
    std::vector<BindRecord> journal;
};

} // namespace

TEST_F(Binding, BindsProvesAndRestores) {
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    EXPECT_TRUE(record.changed);
    EXPECT_EQ(record.earlier_driver, "i915");
    EXPECT_EQ(record.earlier_override, std::nullopt);
    EXPECT_EQ(journal, std::vector<BindRecord>{record});
    EXPECT_EQ(state(), (BindState{"vfio-pci", "vfio-pci"}));
    EXPECT_TRUE(root.exists("/dev/vfio/1"));

    const auto again = bind_to_vfio(root.host(), gpu, options());
    EXPECT_FALSE(again.changed);
    EXPECT_EQ(journal.size(), 1u) << "nothing to journal for a function that is on vfio already";
    EXPECT_EQ(restore_driver(root.host(), again, 10s).outcome, RestoreOutcome::unchanged);

    const auto result = restore_driver(root.host(), record, 10s);
    EXPECT_EQ(result.outcome, RestoreOutcome::restored);
    EXPECT_EQ(result.note, "0000:00:02.0 has driver i915, no driver_override again");
    EXPECT_EQ(state(), (BindState{"i915", std::nullopt}));
    EXPECT_TRUE(wait_gone(root.at("/dev/vfio/1"), 10s, root.host().watches()));
    EXPECT_EQ(restore_driver(root.host(), record, 10s).outcome, RestoreOutcome::unchanged);
    const std::vector<std::string> log{"unbind 0000:00:02.0 from i915", "probe 0000:00:02.0",
                                       "unbind 0000:00:02.0 from vfio-pci", "probe 0000:00:02.0"};
    EXPECT_EQ(kernel.log(), log);
}

TEST_F(Binding, AnEarlierOverrideComesBack) {
    root.populate_driver("other");
    root.write(gpu_dir + "/driver_override", "other\n");
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    EXPECT_EQ(record.earlier_override, "other");
    EXPECT_EQ(restore_driver(root.host(), record, 10s).outcome, RestoreOutcome::restored);
    EXPECT_EQ(state(), (BindState{"i915", "other"}));
}

TEST_F(Binding, AFunctionWithoutDriverGetsNoneBack) {
    fs::remove(root.at(gpu_dir + "/driver"));
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    EXPECT_EQ(record.earlier_driver, std::nullopt);
    EXPECT_EQ(restore_driver(root.host(), record, 10s).outcome, RestoreOutcome::restored);
    EXPECT_EQ(state(), (BindState{std::nullopt, std::nullopt}));
}

TEST_F(Binding, ProbeThatBindsNothingIsUndone) {
    fake::FakeKernel kernel(root);
    kernel.probe_binds("0000:00:02.0", std::nullopt, 1);
    EXPECT_EQ(
        bind_refused(Errc::bind_failed, options(100ms)),
        "bind 0000:00:02.0 to vfio-pci: vfio-pci did not bind to 0000:00:02.0: no driver is "
        "bound; it was put back: driver i915, no driver_override; see the kernel log for what "
        "vfio-pci said");
    EXPECT_EQ(state(), (BindState{"i915", std::nullopt}));
}

TEST_F(Binding, ProbeThatBindsAnotherDriverIsUndone) {
    root.populate_driver("stranger");
    fake::FakeKernel kernel(root);
    kernel.probe_binds("0000:00:02.0", "stranger", 1);
    EXPECT_THAT(bind_refused(Errc::bind_failed),
                HasSubstr("vfio-pci did not bind to 0000:00:02.0: stranger did; it was put back: "
                          "driver i915, no driver_override"));
    EXPECT_EQ(state(), (BindState{"i915", std::nullopt}));
}

TEST_F(Binding, AnUndoThatFailsSaysWhatIsLeft) {
    fake::FakeKernel kernel(root);
    kernel.probe_binds("0000:00:02.0", "gone-driver", 2);
    root.populate_driver("gone-driver");
    kernel.rescan();
    const auto text = bind_refused(Errc::bind_failed);
    EXPECT_THAT(text, HasSubstr("putting it back failed (i915 did not bind to 0000:00:02.0: "
                                "gone-driver did"));
    EXPECT_THAT(text,
                HasSubstr("0000:00:02.0 is left with driver gone-driver, driver_override i915"));
}

TEST_F(Binding, AnUnbindThatBlocksEndsAtTheDeadline) {
    fake::FakeKernel kernel(root);
    kernel.hold_unbind("0000:00:02.0");
    const auto text = bind_refused(Errc::host_timeout, options(50ms));
    EXPECT_THAT(text, HasSubstr("unbind of 0000:00:02.0 from i915: the kernel has not answered the "
                                "write to /sys/bus/pci/drivers/i915/unbind in time"));
    EXPECT_THAT(text, HasSubstr("kata-vfio restore"));
    // It ends later, and the journal's record puts the function right from where it is then.
    kernel.release("0000:00:02.0");
    ASSERT_TRUE(
        wait_gone(root.at("/sys/bus/pci/drivers/i915/0000:00:02.0"), 10s, root.host().watches()));
    EXPECT_EQ(restore_driver(root.host(), journal.at(0), 10s).outcome, RestoreOutcome::restored);
    EXPECT_EQ(state(), (BindState{"i915", std::nullopt}));
}

TEST_F(Binding, TheHookCanRefuse) {
    fake::FakeKernel kernel(root);
    auto o = options();
    o.before_first_write = [](const BindRecord&) {
        throw std::runtime_error("no space for a journal");
    };
    EXPECT_THROW(bind_to_vfio(root.host(), gpu, o), std::runtime_error);
    expect_untouched();
    EXPECT_TRUE(kernel.log().empty());
}

TEST_F(Binding, RefusalsTouchNothing) {
    fake::FakeKernel kernel(root);
    EXPECT_EQ(
        test::failure_text(
            Errc::bind_failed,
            [&] { bind_to_vfio(root.host(), *PciAddress::parse("0000:00:00.0"), options()); }),
        "0000:00:00.0 is a bridge (class 0600, header type 0); vfio-pci takes endpoints only: "
        "name the function behind it");

    root.write(gpu_dir + "/sriov_numvfs", "2\n");
    EXPECT_THAT(
        bind_refused(Errc::device_in_use),
        HasSubstr("0000:00:02.0 has 2 virtual functions enabled; take one of those instead, "
                  "or free them: echo 0 > /sys/bus/pci/devices/0000:00:02.0/sriov_numvfs"));
    root.write(gpu_dir + "/sriov_numvfs", "0\n");

    auto o = options();
    o.driver = "xe-vfio-pci";
    EXPECT_EQ(bind_refused(Errc::driver_missing, o),
              "the kernel driver xe-vfio-pci is not loaded; modprobe xe-vfio-pci");

    root.populate_vfio_node(1);
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1");
    EXPECT_THAT(bind_refused(Errc::device_in_use),
                HasSubstr("blocked by pid 4711 (qemu-system-x86)"));
    root.remove_holder(4711);

    const std::string uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    root.populate_mdev(gpu.text(), "i915-GVTg_V4_8", uuid, 7);
    EXPECT_THAT(bind_refused(Errc::device_in_use),
                AllOf(HasSubstr("0000:00:02.0 has a vGPU on it"), HasSubstr("blocked by " + uuid)));
    fs::remove_all(root.at(gpu_dir + "/" + uuid));

    fs::remove(root.at(gpu_dir + "/iommu_group"));
    EXPECT_THAT(bind_refused(Errc::no_iommu), HasSubstr("has no IOMMU group"));
    expect_untouched();
    EXPECT_TRUE(kernel.log().empty());
}

TEST_F(Binding, RestoreRefusesWhileHeldBeforeAnyWrite) {
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1");
    const auto before = kernel.log();
    EXPECT_THAT(
        test::failure_text(Errc::device_in_use, [&] { restore_driver(root.host(), record, 10s); }),
        HasSubstr("0000:00:02.0 is in use: IOMMU group 1 is open (/dev/vfio/1) (blocked by pid "
                  "4711 (qemu-system-x86))"));
    EXPECT_EQ(kernel.log(), before);
    EXPECT_EQ(state(), (BindState{"vfio-pci", "vfio-pci"}));
}

TEST_F(Binding, RestoreLeavesAForeignChangeAlone) {
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    root.populate_driver("nouveau");
    fs::remove(root.at(gpu_dir + "/driver"));
    root.link(gpu_dir + "/driver", root.at("/sys/bus/pci/drivers/nouveau"));
    const auto result = restore_driver(root.host(), record, 10s);
    EXPECT_EQ(result.outcome, RestoreOutcome::left_alone);
    EXPECT_EQ(result.note, "0000:00:02.0 was left alone: it has driver nouveau, driver_override "
                           "vfio-pci, so somebody else has rebound it");
    EXPECT_EQ(root.read(gpu_dir + "/driver_override"), "vfio-pci\n");
}

TEST_F(Binding, RestoreWithoutTheEarlierDriverSaysModprobe) {
    BindRecord record;
    {
        fake::FakeKernel kernel(root);
        record = bind_to_vfio(root.host(), gpu, options());
    }
    fs::remove_all(root.at("/sys/bus/pci/drivers/i915"));
    EXPECT_EQ(
        test::failure_text(Errc::driver_missing, [&] { restore_driver(root.host(), record, 1s); }),
        "the earlier driver of 0000:00:02.0, i915, is not loaded any more; modprobe i915, then "
        "try again");
    EXPECT_EQ(state(), (BindState{"vfio-pci", "vfio-pci"}));
}

TEST_F(Binding, RestoreWhoseProbeFailsSaysTheState) {
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    kernel.probe_binds("0000:00:02.0", std::nullopt, 1);
    EXPECT_THAT(
        test::failure_text(Errc::bind_failed, [&] { restore_driver(root.host(), record, 100ms); }),
        HasSubstr("restore 0000:00:02.0: i915 did not bind to 0000:00:02.0: no driver is bound; "
                  "0000:00:02.0 is left with no driver, driver_override i915"));
    EXPECT_EQ(restore_driver(root.host(), record, 10s).outcome, RestoreOutcome::restored);
    EXPECT_EQ(state(), (BindState{"i915", std::nullopt}));
}

TEST_F(Binding, APendingUnbindIsRefused) {
    fake::FakeKernel kernel(root);
    const auto record = bind_to_vfio(root.host(), gpu, options());
    fs::remove(root.at(gpu_dir + "/driver")); // vfio-dev/ and the node stay: an unbind is blocked
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/1");
    for (const auto& act :
         std::vector<std::function<void()>>{[&] { bind_to_vfio(root.host(), gpu, options()); },
                                            [&] { restore_driver(root.host(), record, 1s); }})
        EXPECT_EQ(
            test::failure_text(Errc::device_in_use, act),
            "an unbind of 0000:00:02.0 is still under way (blocked by pid 4711 "
            "(qemu-system-x86)); it ends once that process lets the function go; try again then");
}

TEST_F(Binding, ReadOnlyControlFilesAreNamed) {
    fake::FakeKernel kernel(root);
    fs::remove(root.at(gpu_dir + "/driver_override"));
    fs::create_directory(root.at(gpu_dir + "/driver_override"));
    EXPECT_THAT(
        bind_refused(Errc::host_io),
        HasSubstr("can't write vfio-pci to /sys/bus/pci/devices/0000:00:02.0/driver_override: Is "
                  "a directory"));
    EXPECT_EQ(current_driver(root.host(), gpu), "i915");
}

TEST(RestoreOutcome, Prints) {
    std::ostringstream out;
    out << RestoreOutcome::restored << " " << RestoreOutcome::unchanged << " "
        << RestoreOutcome::left_alone;
    EXPECT_EQ(out.str(), "restored unchanged left_alone");
}
