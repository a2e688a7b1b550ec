// SPDX-License-Identifier: Apache-2.0
// Each control file of the kernel's refuses what is written to it: the call says so, and what it
// could not give back the next reconcile does, when the kernel lets it.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::abi_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class HostWriteFails : public World {
  protected:
    HostWriteFails() { populate_physical(); }
    /// From now on the kernel refuses what is written to it, as far as a file can: with EISDIR. The
    /// codes and texts of a real kernel's errnos are the unit tests' (vfio, mdev).
    void refuse(const std::string& control) {
        file_ = root.at(control);
        fs::rename(file_, file_.string() + ".real");
        fs::create_directory(file_);
    }
    void grant() const {
        fs::remove(file_);
        fs::rename(file_.string() + ".real", file_);
    }
    static std::string of_gpu(const std::string& name) {
        return "/sys/bus/pci/devices/" + std::string(gpu) + "/" + name;
    }

    /// The attach fails. It is undone, but for what the same file keeps from being undone.
    void refused_attach(const std::string& control, std::string_view device) {
        SCOPED_TRACE(control);
        const auto before = snapshot();
        refuse(control);
        const auto answer = host->attach(sandbox, device);
        grant();
        EXPECT_FALSE(answer.ok());
        EXPECT_NE(answer.status, KATA_VFIO_E_INTERNAL) << answer;
        EXPECT_THAT(answer.message, HasSubstr("Is a directory"));
        if (answer.message.find("undoing stopped at") != std::string::npos) {
            EXPECT_TRUE(root.exists("/run/kata-vfio/sandboxes/sb1/journal"));
            const auto reconciled = host->reconcile();
            EXPECT_TRUE(reconciled.ok()) << reconciled;
        }
        expect_untouched(before);
    }
    /// The device is out of QEMU and stays on record; the next reconcile gives it back.
    void refused_detach(const std::string& control, std::string_view device,
                        const Snapshot& before) {
        SCOPED_TRACE(control);
        const auto attached = host->attach(sandbox, device, device == type8 ? uuid_a : "");
        ASSERT_TRUE(attached.ok()) << attached;
        refuse(control);
        const auto answer = host->detach(sandbox, device);
        EXPECT_FALSE(answer.ok());
        EXPECT_NE(answer.status, KATA_VFIO_E_INTERNAL) << answer;
        EXPECT_THAT(answer.message, HasSubstr("Is a directory"));
        EXPECT_EQ(host->list("sb1").attachments.size(), 1u);
        if (device != "sriov") { // whose claim goes before they are all taken away
            EXPECT_NE(names("/run/kata-vfio/claims"), "");
        }
        grant();
        const auto reconciled = host->reconcile();
        EXPECT_TRUE(reconciled.ok()) << reconciled;
        EXPECT_EQ(plugged(), std::vector<std::string>{});
        expect_untouched(before);
    }

  private:
    fs::path file_;
};

TEST_F(HostWriteFails, OfAnAttach) {
    start_with_sandbox();
    refused_attach("/sys/class/mdev_bus/" + std::string(gpu) + "/mdev_supported_types/" +
                       std::string(type8) + "/create",
                   type8);
    refused_attach(of_gpu("driver_override"), gpu);
    refused_attach("/sys/bus/pci/drivers/i915/unbind", gpu);
    refused_attach("/sys/bus/pci/drivers_probe", gpu);
    refused_attach("/sys/bus/pci/devices/" + std::string(physical) + "/sriov_numvfs", "sriov");
}

TEST_F(HostWriteFails, OfADetach) {
    start_with_sandbox();
    const auto before = snapshot();
    refused_detach("/sys/bus/mdev/devices/" + std::string(uuid_a) + "/remove", type8, before);
    refused_detach(of_gpu("driver_override"), gpu, before);
    refused_detach("/sys/bus/pci/drivers/vfio-pci/unbind", gpu, before);
    refused_detach("/sys/bus/pci/drivers_probe", gpu, before);
    refused_detach("/sys/bus/pci/devices/" + std::string(physical) + "/sriov_numvfs", "sriov",
                   before);
}

} // namespace
} // namespace kata_vfio::abi_test
