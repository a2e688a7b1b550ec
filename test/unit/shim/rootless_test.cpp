// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/kernel/capability_sets.hpp"
#include "runtime-plugin/shim/vm/child.hpp"
#include "runtime-plugin/shim/vm/qemu_user.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace kata_vfio::shim {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t id = 1879048192;

class Rootless : public ::testing::Test {
  protected:
    void SetUp() override {
        place.make();
        std::filesystem::create_directories(host.path() / "dev");
        write_atomically(host.path() / "dev/kvm", "", 0666);
        ::chmod((host.path() / "dev/kvm").c_str(), 0666);
    }

    plugin::TempDir host;
    vfio::HostRoot root{host.path()};
    Place place{root, "k8s.io", "pod"}, other{root, "k8s.io", "other"};
};

TEST(KvmGroups, AreThoseItNeeds) {
    EXPECT_THAT(kvm_groups(id, {0, 108, 0666}).value(), IsEmpty());
    EXPECT_THAT(kvm_groups(id, {0, 108, 0660}).value(), ElementsAre(108));
    EXPECT_FALSE(kvm_groups(id, {0, 0, 0660})) << "root's group is nobody else's";
    EXPECT_FALSE(kvm_groups(id, {0, 108, 0600}));
}

TEST_F(Rootless, EachHasAUserOfItsOwn) {
    other.make();
    const auto first = take_user(root, place, {id, id + 1}, true);
    const auto second = take_user(root, other, {id, id + 1}, true);
    EXPECT_NE(first.id, second.id);
    for (const auto& user : {first, second})
        EXPECT_TRUE(user.id == id || user.id == id + 1) << user.id;
    const Place third(root, "k8s.io", "third");
    third.make();
    EXPECT_THROW(take_user(root, third, {id, id + 1}, true), Failure);
    other.remove();
    EXPECT_EQ(take_user(root, third, {id, id + 1}, true).id, second.id) << "it went with its place";
}

TEST_F(Rootless, AClosedKvmIsTold) {
    ::chmod((host.path() / "dev/kvm").c_str(), 0600);
    EXPECT_NO_THROW(take_user(root, place, {id, id}, false));
    other.make();
    try {
        take_user(root, other, {id + 1, id + 1}, true);
        FAIL() << "nothing was thrown";
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::config_invalid);
        EXPECT_THAT(failure.what(), HasSubstr("/dev/kvm"));
    }
}

TEST_F(Rootless, TheWorkplaceIsItsUntilItIsUp) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root gives files away";
    place.open_workplace(id);
    struct stat info {};
    ASSERT_EQ(::stat(place.workplace().c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, id);
    EXPECT_THROW(place.close_workplace(id), Failure) << "there is no socket";
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = place.workplace() / "qmp.sock";
    std::strcpy(address.sun_path, path.c_str());
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_THROW(place.close_workplace(id), Failure) << "root's socket";
    ASSERT_EQ(::chown(path.c_str(), id, id), 0);
    place.close_workplace(id);
    ASSERT_EQ(::stat(place.workplace().c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 0u);
    place.remove();
    EXPECT_FALSE(std::filesystem::exists(place.directory()));
}

TEST_F(Rootless, AChildHasItsUserAndNoRights) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root becomes another user";
    ::chmod(host.path().c_str(), 0755);
    boost::asio::io_context io;
    Child::Plan plan;
    plan.words = {"/bin/cat", "/proc/self/status"};
    plan.log = place.at("child.log");
    plan.memlock = 1u << 30;
    plan.user = QemuUser{id, {108}};
    Child child(io, plan);
    io.run();
    ASSERT_TRUE(child.ended().ready());
    EXPECT_EQ(child.ended().value(), "exit status 0");
    const auto status = read_file(plan.log).value_or("");
    const auto four = "\t1879048192\t1879048192\t1879048192\t1879048192\n";
    EXPECT_THAT(status, HasSubstr(std::string("Uid:") + four));
    EXPECT_THAT(status, HasSubstr(std::string("Gid:") + four));
    EXPECT_THAT(status, HasSubstr("Groups:\t108"));
    for (const auto* set : {"CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000"));
}

} // namespace
} // namespace kata_vfio::shim
