// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/cgroup_path.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata_vfio::shim {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(CgroupPath, IsAsTheSpecHasIt) {
    EXPECT_EQ(cgroup_path("/kubepods/pod1/c1").below, "kubepods/pod1/c1");
    EXPECT_EQ(cgroup_path("./a//b").below, "a/b");
    EXPECT_FALSE(cgroup_path("/default/c1").of_systemd);
    const auto none = cgroup_path("");
    EXPECT_EQ(none.below, "");
    EXPECT_EQ(none.why_not, "");
}

TEST(CgroupPath, OfSystemdIsAScopeInItsSlices) {
    const auto pod = cgroup_path("kubepods-burstable-pod1_2.slice:cri-containerd:c1");
    EXPECT_TRUE(pod.of_systemd);
    EXPECT_EQ(pod.below, "kubepods.slice/kubepods-burstable.slice/"
                         "kubepods-burstable-pod1_2.slice/cri-containerd-c1.scope");
    EXPECT_EQ(cgroup_path(":nerdctl:c1").below, "system.slice/nerdctl-c1.scope");
    EXPECT_EQ(cgroup_path("user.slice::c1").below, "user.slice/c1.scope");
    EXPECT_EQ(cgroup_path("-.slice:a:c1").below, "a-c1.scope");
}

TEST(CgroupPath, RefusesWhatLeadsElsewhereOrIsNoUnit) {
    for (const auto& [text, why] : {
             std::pair{"/a/../../b", "\"..\""},
             std::pair{"/", "root of all groups"},
             std::pair{"a.slice:b", "neither a path nor"},
             std::pair{"a.slice:b:c:d", "neither a path nor"},
             std::pair{"a:b:c", "no name of a slice"},
             std::pair{".slice:b:c", "no name of a slice"},
             std::pair{"-a.slice:b:c", "no name of a slice"},
             std::pair{"a--b.slice:b:c", "no name of a slice"},
             std::pair{"a-.slice:b:c", "no name of a slice"},
             std::pair{"../a.slice:b:c", "no name of a slice"},
             std::pair{"x/a.slice:b:c", "no name of a slice"},
             std::pair{"a.slice:b:", "no name for a scope"},
             std::pair{"a.slice:b:../../c", "no name for a scope"},
             std::pair{"a.slice:../b:c", "no name for a scope"},
             std::pair{"a.slice:b:c.slice", "asks for a slice"},
         }) {
        const auto path = cgroup_path(text);
        EXPECT_EQ(path.below, "") << text;
        EXPECT_THAT(path.why_not, HasSubstr(why)) << text;
    }
    EXPECT_THAT(cgroup_path(std::string("/a\0b", 4)).why_not, HasSubstr("zero byte"));
}

TEST(CgroupPath, ASliceIsSystemdsToMake) {
    const plugin::TempDir dir;
    const vfio::HostRoot root(dir.path());
    const auto mount = dir.path() / "sys/fs/cgroup";
    fs::create_directories(mount);
    dir.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    const std::string text = "a-b.slice:cri:c1";
    const HostCgroup missing(root, text);
    EXPECT_EQ(missing.directory(), "");
    EXPECT_THAT(missing.why_not(), HasSubstr("no slice " + (mount / "a.slice/a-b.slice").native()));
    fs::create_directories(mount / "a.slice/a-b.slice");
    const HostCgroup group(root, text);
    EXPECT_EQ(group.why_not(), "");
    EXPECT_EQ(group.directory(), mount / "a.slice/a-b.slice/cri-c1.scope");
    EXPECT_FALSE(fs::exists(group.directory())) << "naming one makes none";
    // In a tree without a kernel there is no cgroup.procs in it; it itself was made.
    EXPECT_THROW(group.take(42), Failure);
    EXPECT_TRUE(fs::exists(group.directory()));
    group.remove();
    EXPECT_FALSE(fs::exists(group.directory()));
    fs::remove_all(mount / "a.slice");
    EXPECT_THROW(group.take(42), Failure);
    EXPECT_FALSE(fs::exists(mount / "a.slice")) << "a slice that has gone stays gone";
}

} // namespace
} // namespace kata_vfio::shim
