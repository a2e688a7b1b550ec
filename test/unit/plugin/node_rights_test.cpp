// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/node_rights.hpp"

#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace kata_vfio::plugin {
namespace {
using ::testing::ElementsAre;

constexpr const char* of_user_64055 = "Name:\tqemu\nUid:\t64055\t64055\t64055\t64055\n"
                                      "Gid:\t108\t108\t108\t108\nGroups:\t104 108 \n"
                                      "CapEff:\t0000000000000000\n";

unsigned owner(const std::filesystem::path& node) {
    struct stat info {};
    return ::stat(node.c_str(), &info) == 0 ? info.st_uid : ~0u;
}

TEST(NodeRights, TheFirstClassThatFitsDecides) {
    const Credentials user{7, 1000, 100, {5, 6}, false};
    EXPECT_TRUE(may_open(user, {1000, 0, 0600}));
    EXPECT_FALSE(may_open(user, {0, 0, 0600}));
    EXPECT_FALSE(may_open(user, {1000, 0, 0066})) << "the owner's own bits do not let it";
    EXPECT_TRUE(may_open(user, {0, 100, 0660}));
    EXPECT_TRUE(may_open(user, {0, 6, 0660})) << "a supplementary group";
    EXPECT_FALSE(may_open(user, {0, 6, 0606}));
    EXPECT_FALSE(may_open(user, {0, 6, 0640})) << "it has to write";
    EXPECT_TRUE(may_open(user, {0, 0, 0666}));
    EXPECT_TRUE(may_open({7, 1000, 100, {}, true}, {0, 0, 0}));
}

TEST(NodeRights, OfAProcess) {
    fake::FakeRoot root;
    EXPECT_FALSE(read_credentials(root.host(), 4711));
    root.write("/proc/4711/status", of_user_64055);
    const auto who = read_credentials(root.host(), 4711);
    ASSERT_TRUE(who);
    EXPECT_EQ(who->uid, 64055u);
    EXPECT_EQ(who->gid, 108u);
    EXPECT_THAT(who->groups, ElementsAre(104, 108));
    EXPECT_FALSE(who->overrides);
    root.write("/proc/4711/status",
               "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
    EXPECT_TRUE(read_credentials(root.host(), 4711)->overrides);
    root.write("/proc/4711/status", "Name:\tqemu\n");
    EXPECT_FALSE(read_credentials(root.host(), 4711)) << "what is not told refuses nothing";
}

TEST(NodeRights, ANodeIsLentAndTakenBack) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root gives files away";
    fake::FakeRoot root;
    root.populate_vfio_node(7);
    const auto node = root.at("/dev/vfio/7");
    ASSERT_EQ(::chmod(node.c_str(), 0600), 0);
    root.write("/proc/4711/status", of_user_64055);
    const auto who = read_credentials(root.host(), 4711);
    ASSERT_TRUE(who);
    const auto is_closed = [&] { return closed_node(root.host(), *who, node); };
    const auto closed = is_closed();
    ASSERT_TRUE(closed);
    const auto failure = refusal(*who, *closed, "do this");
    EXPECT_EQ(failure.code(), Errc::permission_denied);
    EXPECT_EQ(failure.problem(), "QEMU runs as user 64055, which can't open /dev/vfio/7");
    EXPECT_EQ(failure.blocker(),
              "the node, of user 0 and group 0 with mode 0600; QEMU is pid 4711");
    EXPECT_EQ(failure.advice(), "do this");
    EXPECT_FALSE(closed_node(root.host(), *who, root.at("/dev/vfio/8"))) << "there is none";

    const LentNode lent{7, 0, 64055, closed->node.inode};
    lend(root.host(), lent);
    EXPECT_FALSE(is_closed());
    EXPECT_EQ(take_back(root.host(), lent), "");
    EXPECT_TRUE(is_closed());
    EXPECT_EQ(take_back(root.host(), lent), "") << "a second time";
    ASSERT_EQ(::chown(node.c_str(), 5, 0), 0);
    EXPECT_EQ(take_back(root.host(), lent), "it is user 5's now, by somebody else");
    EXPECT_EQ(owner(node), 5u);
    ASSERT_EQ(::chown(node.c_str(), 64055, 0), 0);
    EXPECT_EQ(take_back(root.host(), LentNode{7, 0, 64055, closed->node.inode + 1}), "")
        << "another node of the same number: its own went with its group";
    EXPECT_EQ(owner(node), 64055u);
    EXPECT_EQ(take_back(root.host(), LentNode{8, 0, 64055, 1}), "") << "there is none";
    EXPECT_THROW(lend(root.host(), LentNode{8, 0, 64055, 1}), Failure);
}

TEST(NodeRights, AUserNamespaceOfItsOwnGivesNone) {
    fake::FakeRoot root;
    root.write("/proc/4711/status",
               "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
    root.write("/proc/self/ns/user", "");
    root.write("/proc/4711/ns/user", "");
    EXPECT_FALSE(read_credentials(root.host(), 4711)->overrides);
    std::filesystem::remove(root.at("/proc/4711/ns/user"));
    std::filesystem::create_hard_link(root.at("/proc/self/ns/user"), root.at("/proc/4711/ns/user"));
    EXPECT_TRUE(read_credentials(root.host(), 4711)->overrides);
}

} // namespace
} // namespace kata_vfio::plugin
