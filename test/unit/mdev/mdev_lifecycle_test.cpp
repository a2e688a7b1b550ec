// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_create.hpp"
#include "mdev/mdev_remove.hpp"
#include "mdev/mdev_type.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/unit/vfio/expect_failure.hpp"
#include "vfio/wait_path.hpp"

#include <filesystem>
#include <sstream>
#include <thread>

using namespace kata_vfio;
using namespace kata_vfio::mdev;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

namespace {

const std::string parent = "0000:00:02.0";
const std::string type = "i915-GVTg_V4_8";
const auto uuid = Uuid::require("bbc4aafe-5807-11e8-a43e-03533cceae7d");

class Lifecycle : public testing::Test {
  protected:
    Lifecycle() {
        root.populate_gvt_host();
        root.populate_mtty();
        kernel.emplace(root);
    }
    std::string create_refused(Errc code, std::string_view t = type,
                               vfio::Deadline deadline = 10s) {
        return test::failure_text(code, [&] { create(root.host(), parent, t, uuid, deadline); });
    }
    unsigned available(std::string_view t = type) {
        return read_type(root.host(), parent, t).available_instances;
    }
    fake::FakeRoot root;
    std::optional<fake::FakeKernel> kernel;
};

} // namespace

TEST_F(Lifecycle, CreateAndRemove) {
    const auto device = create(root.host(), parent, type, uuid, 10s);
    EXPECT_EQ(device.uuid, uuid);
    EXPECT_EQ(device.parent, parent);
    EXPECT_EQ(device.type, type);
    EXPECT_EQ(device.iommu_group, 2);
    EXPECT_EQ(device.node, "/dev/vfio/2");
    EXPECT_EQ(device.state, MdevDevice::State::present);
    EXPECT_EQ(available(), 6u);
    EXPECT_EQ(available("i915-GVTg_V4_4"), 3u) << "the types share one pool";

    EXPECT_EQ(remove(root.host(), uuid, 10s).outcome, RemoveOutcome::removed);
    EXPECT_EQ(find_device(root.host(), uuid), std::nullopt);
    EXPECT_EQ(available(), 7u);
    EXPECT_FALSE(root.exists("/dev/vfio/2"));
    EXPECT_EQ(remove(root.host(), uuid, 10s).outcome, RemoveOutcome::removed) << "idempotent";
    const std::vector<std::string> log{"create " + type + " " + uuid.text(),
                                       "remove " + uuid.text()};
    EXPECT_EQ(kernel->log(), log);
}

TEST_F(Lifecycle, ALateNodeIsWaitedFor) {
    kernel->delay_node(40ms);
    const auto start = vfio::Deadline::Clock::now();
    EXPECT_EQ(create(root.host(), parent, type, uuid, 10s).node, "/dev/vfio/2");
    EXPECT_GE(vfio::Deadline::Clock::now() - start, 40ms);
    EXPECT_EQ(remove(root.host(), uuid, 10s).outcome, RemoveOutcome::removed);
}

TEST_F(Lifecycle, NoNodeByTheDeadlineTakesTheDeviceBack) {
    kernel->without_node(true);
    EXPECT_THAT(create_refused(Errc::host_timeout, type, 100ms),
                StartsWith("create vGPU " + uuid.text() +
                           ": /dev/vfio/2 did not appear in time; it was "
                           "removed again; see the kernel log"));
    EXPECT_EQ(find_device(root.host(), uuid), std::nullopt);
    EXPECT_EQ(available(), 7u);
}

TEST_F(Lifecycle, NoGroupByTheDeadlineTakesTheDeviceBack) {
    kernel->without_group(true);
    EXPECT_THAT(create_refused(Errc::host_timeout, type, 100ms),
                HasSubstr("/sys/bus/mdev/devices/" + uuid.text() +
                          "/iommu_group did not appear in "
                          "time; it was removed again"));
    EXPECT_EQ(available(), 7u);
}

TEST_F(Lifecycle, ACreateWithoutEffect) {
    kernel->ignore_creates(true);
    EXPECT_THAT(create_refused(Errc::host_timeout, type, 100ms),
                HasSubstr("/sys/bus/mdev/devices/" + uuid.text() + " did not appear in time"));
    EXPECT_EQ(available(), 7u);
}

TEST_F(Lifecycle, UuidInUseSaysWhere) {
    create(root.host(), "mtty", "mtty-1", uuid, 10s);
    EXPECT_EQ(create_refused(Errc::uuid_exists),
              "create vGPU " + uuid.text() + ": a mediated device " + uuid.text() +
                  " exists already (blocked by /sys/bus/mdev/devices/" + uuid.text() +
                  ", type mtty-1 of parent mtty); take another UUID (UUIDs are unique over all "
                  "parents), or use that device");
    EXPECT_EQ(available(), 7u);
}

TEST_F(Lifecycle, FullParentSaysWhatIsFreeAndWhoUsesIt) {
    const auto first = Uuid::random();
    create(root.host(), parent, "i915-GVTg_V4_2", first, 10s);
    EXPECT_EQ(
        create_refused(Errc::no_instances, "i915-GVTg_V4_2"),
        "create vGPU " + uuid.text() +
            ": parent 0000:00:02.0 has no instance of i915-GVTg_V4_2 left (blocked by " +
            first.text() +
            " (i915-GVTg_V4_2)); available now: i915-GVTg_V4_4: 1 and i915-GVTg_V4_8: 3; remove "
            "a vGPU that is not used (kata-vfio vgpus), or take another type or parent");
    EXPECT_EQ(kernel->log().size(), 1u) << "nothing was written";
}

TEST_F(Lifecycle, UnknownTypeAndParent) {
    EXPECT_THAT(create_refused(Errc::type_not_found, "i915-GVTg_V5_8"),
                HasSubstr("did you mean i915-GVTg_V4_8?"));
    EXPECT_THAT(create_refused(Errc::type_not_found, "Single port serial"), HasSubstr("mtty-1"));
    EXPECT_THAT(test::failure_text(Errc::parent_not_found,
                                   [&] { create(root.host(), "mttu", "mtty-1", uuid, 1s); }),
                HasSubstr("did you mean mtty?"));
    EXPECT_TRUE(kernel->log().empty());
}

TEST_F(Lifecycle, EveryErrnoOfCreateHasItsCodeAndText) {
    const auto text = [&](int error, Errc code) {
        const auto failure = create_failure(root.host(), parent, type, uuid, error);
        EXPECT_EQ(name(failure.code()), name(code)) << error;
        EXPECT_EQ(failure.sys_errno(), error);
        EXPECT_EQ(failure.verbatim(), std::generic_category().message(error));
        EXPECT_FALSE(failure.advice().empty() && error != ENOMEM) << error;
        return std::string(failure.what());
    };
    EXPECT_THAT(text(EEXIST, Errc::uuid_exists), HasSubstr("its removal may be under way"));
    EXPECT_THAT(text(ENOSPC, Errc::no_instances),
                HasSubstr("has no instance of i915-GVTg_V4_8 left: No space left on device; "
                          "available now: i915-GVTg_V4_2: 1, i915-GVTg_V4_4: 3 and "
                          "i915-GVTg_V4_8: 7"));
    EXPECT_THAT(text(EUSERS, Errc::no_instances), HasSubstr("Too many users"));
    EXPECT_THAT(text(EINVAL, Errc::host_io), HasSubstr("Invalid argument"));
    EXPECT_THAT(text(ENODEV, Errc::host_io), HasSubstr("the parent is going away"));
    EXPECT_THAT(text(EAGAIN, Errc::host_io), HasSubstr("modprobe kvmgt"));
    EXPECT_THAT(text(ENOMEM, Errc::host_io), HasSubstr("Cannot allocate memory"));
    EXPECT_THAT(text(EACCES, Errc::permission_denied), HasSubstr("run as root"));
    EXPECT_THAT(text(EPERM, Errc::permission_denied), HasSubstr("run as root"));
    EXPECT_THAT(text(EROFS, Errc::permission_denied), HasSubstr("read-only"));
}

TEST_F(Lifecycle, TheKernelsOwnErrnoReachesTheCaller) {
    kernel.reset();
    const auto control =
        root.at("/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types/i915-GVTg_V4_8/create");
    fs::remove(control);
    fs::create_directory(control);
    EXPECT_THAT(create_refused(Errc::host_io),
                HasSubstr("parent 0000:00:02.0 did not create " + uuid.text() +
                          " of type i915-GVTg_V4_8: Is a directory"));
}

TEST_F(Lifecycle, RemoveRefusesWhileHeldAndWritesNothing) {
    create(root.host(), parent, type, uuid, 10s);
    root.populate_holder(4711, "qemu-system-x86", "/dev/vfio/2");
    EXPECT_EQ(test::failure_text(Errc::device_in_use, [&] { remove(root.host(), uuid, 10s); }),
              "vGPU " + uuid.text() +
                  " is in use: IOMMU group 2 is open (/dev/vfio/2) (blocked by pid 4711 "
                  "(qemu-system-x86)); detach it from that sandbox, or end that process");
    EXPECT_EQ(kernel->log().size(), 1u);
    EXPECT_TRUE(find_device(root.host(), uuid));
}

TEST_F(Lifecycle, ABlockedRemoveIsPendingUntilTheParentSideIsGone) {
    create(root.host(), parent, type, uuid, 10s);
    kernel->hold_remove(uuid.text());
    auto result = remove(root.host(), uuid, 60ms);
    ASSERT_EQ(result.outcome, RemoveOutcome::pending);
    ASSERT_TRUE(result.helper);
    // It looks finished from the bus, and is not.
    EXPECT_FALSE(root.exists("/sys/bus/mdev/devices/" + uuid.text()));
    ASSERT_TRUE(find_device(root.host(), uuid));
    EXPECT_EQ(find_device(root.host(), uuid)->state, MdevDevice::State::pending_removal);
    EXPECT_EQ(available(), 6u) << "its capacity is not free yet";
    EXPECT_THAT(create_refused(Errc::uuid_exists),
                HasSubstr("blocked by its removal, pending at parent 0000:00:02.0"));
    EXPECT_EQ(remove(root.host(), uuid, 10ms).outcome, RemoveOutcome::pending);

    kernel->release(uuid.text());
    EXPECT_EQ(remove(root.host(), uuid, 10s).outcome, RemoveOutcome::removed);
    EXPECT_EQ(result.helper->wait(10s).outcome, vfio::HostWriteOutcome::done);
    EXPECT_EQ(available(), 7u);
}

TEST_F(Lifecycle, ARemoveReleasedWhileItWaitsIsRemoved) {
    create(root.host(), parent, type, uuid, 10s);
    kernel->hold_remove(uuid.text());
    std::thread releaser([&] {
        EXPECT_TRUE(vfio::wait_gone(root.at("/sys/bus/mdev/devices/" + uuid.text()), 10s,
                                    root.host().watches()));
        kernel->release(uuid.text());
    });
    EXPECT_EQ(remove(root.host(), uuid, 10s).outcome, RemoveOutcome::removed);
    releaser.join();
}

TEST_F(Lifecycle, ManyThreadsFillAndEmptyTheParent) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 10; ++i) {
                const auto own = Uuid::random();
                EXPECT_EQ(create(root.host(), "mtty", "mtty-1", own, 30s).uuid, own);
                EXPECT_EQ(remove(root.host(), own, 30s).outcome, RemoveOutcome::removed);
            }
        });
    for (auto& thread : threads)
        thread.join();
    EXPECT_TRUE(list_devices(root.host()).empty());
    EXPECT_EQ(read_type(root.host(), "mtty", "mtty-1").available_instances, 24u);
}

TEST(RemoveOutcome, Prints) {
    std::ostringstream out;
    out << RemoveOutcome::removed << " " << RemoveOutcome::pending;
    EXPECT_EQ(out.str(), "removed pending");
}
