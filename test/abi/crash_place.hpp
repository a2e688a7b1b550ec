// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/abi/world.hpp"

#include "config/base/text.hpp"
#include "test/places/places.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <system_error>

namespace kata_vfio::abi_test {

using Words = std::vector<std::string>;

inline constexpr std::string_view foreign_vgpu = "11111111-2222-4333-8444-555555555555";
inline constexpr std::string_view foreign_function = "0000:00:1f.0";
inline constexpr std::string_view physical_function = "0000:01:00.0";

// What crash_child is told to do.
inline const std::string attach_vgpu = "attach=" + std::string(type8) + "," + std::string(uuid_a);
inline const std::string attach_gpu = "attach=" + std::string(gpu);
/// One that is on vfio-pci as it is, so that its node stays when it is given back.
inline const std::string attach_function = "attach=" + std::string(foreign_function);
inline const std::string detach_function = "detach=" + std::string(foreign_function);

/// A host, its kernel, a QEMU whose process can be seen, and children that work on them.
class Place {
  public:
    Place() {
        root.populate_gvt_host();
        root.populate_mtty();
        root.populate_mdev("mtty", "mtty-1", std::string(foreign_vgpu), 40);
        fake::FunctionSpec function;
        function.address = std::string(foreign_function);
        function.class_code = 0x020000;
        function.driver = "vfio-pci";
        function.group = 41;
        root.populate_function(function);
        fake::FunctionSpec sriov;
        sriov.address = std::string(physical_function);
        sriov.driver = "xe";
        sriov.group = 42;
        sriov.total_functions = 3;
        root.populate_function(sriov);
        kernel = std::make_unique<fake::FakeKernel>(root);
        machine.fill_bus(3);
        config = root.path() / "configuration.toml";
        std::ofstream(config) << configuration();
        const auto pid = std::to_string(::getpid());
        root.write("/proc/" + pid + "/stat",
                   pid + " (qemu-system-x86) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0\n");
        before = host_side();
    }

    /// QEMU's process is that of a user without rights, and every VFIO node is root's alone.
    void qemu_is_user(unsigned uid, std::string_view vfio = {}) {
        std::string ids;
        for (int i = 0; i < 4; ++i) // real, effective, saved, of the file system
            ids += "\t" + std::to_string(uid);
        root.write("/proc/" + std::to_string(::getpid()) + "/status",
                   "Uid:" + ids + "\nGid:" + ids + "\nGroups:\nCapEff:\t0000000000000000\n");
        std::ofstream(config) << configuration(vfio);
        root.write("/dev/vfio/vfio", "");
        std::filesystem::permissions(root.at("/dev/vfio/vfio"), std::filesystem::perms(0666));
        before = host_side();
    }
    /// Whose the group's node is; nullopt: it is not there.
    std::optional<unsigned> owner_of(int group) const {
        struct stat info {};
        const auto node = root.at("/dev/vfio/" + std::to_string(group));
        return ::lstat(node.c_str(), &info) == 0 ? std::optional(info.st_uid) : std::nullopt;
    }

    /// Exit status, or minus the signal; `environment` is KEY=VALUE, `errors` an open descriptor.
    int run(const Words& words, const Words& environment = {},
            const std::function<void()>& meanwhile = {}, int errors = -1) const {
        Words all{test::crash_child, library_path(), config.string(), root.path().string(),
                  machine.path()};
        all.insert(all.end(), words.begin(), words.end());
        std::vector<char*> arguments;
        for (auto& each : all)
            arguments.push_back(each.data());
        arguments.push_back(nullptr);
        Words variables = environment;
        for (char** each = environ; *each; ++each)
            variables.emplace_back(*each);
        std::vector<char*> env;
        for (auto& each : variables)
            env.push_back(each.data());
        env.push_back(nullptr);
        // Not fork: the whole of a sanitizer's memory map would be copied.
        posix_spawn_file_actions_t quiet;
        ::posix_spawn_file_actions_init(&quiet);
        if (errors >= 0)
            ::posix_spawn_file_actions_adddup2(&quiet, errors, STDERR_FILENO);
        else
            ::posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        pid_t child = 0;
        const int error =
            ::posix_spawn(&child, arguments[0], &quiet, nullptr, arguments.data(), env.data());
        ::posix_spawn_file_actions_destroy(&quiet);
        if (error != 0)
            throw std::system_error(error, std::generic_category(), all.front());
        if (meanwhile)
            meanwhile();
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    /// SIGKILL of QEMU, ended to the last file descriptor.
    void kill_qemu() {
        root.remove_holder(::getpid());
        machine.kill();
    }

    /// All of the host but our own directory; what the kernel has in hand is done.
    Snapshot host_side() const {
        (void)kernel->log();
        auto tree = Snapshot::of(root.path());
        std::erase_if(tree.entries, [](const auto& entry) {
            return entry.first.starts_with("run/") || entry.first.starts_with("proc/");
        });
        return tree;
    }
    std::string below(std::string_view directory) const {
        std::set<std::string> names;
        std::error_code ec;
        const auto top = root.at(directory);
        for (std::filesystem::recursive_directory_iterator it(top, ec), end; !ec && it != end;
             it.increment(ec))
            names.insert(it->path().lexically_relative(top).string());
        return join_words({names.begin(), names.end()}, " ");
    }
    Words plugged() const {
        auto ids = machine.devices();
        std::erase_if(ids, [](const auto& id) { return id.starts_with("fill"); });
        return ids;
    }

    /// The host is as before, and of ours nothing is left but empty directories and the lock.
    void expect_nothing_left() const {
        EXPECT_EQ(difference(before, host_side()), "");
        EXPECT_EQ(below("/run/kata-vfio/claims"), "");
        EXPECT_EQ(below("/run/kata-vfio/sandboxes"), "");
        EXPECT_EQ(below("/run/kata-vfio/sriov"), "");
    }
    /// QEMU runs: what is on record, claimed, made and plugged is one and the same.
    void expect_consistent(const Answer& reconciled) const {
        PluginHost host(config, root.path());
        const auto listed = host.list();
        ASSERT_TRUE(listed.ok()) << listed;
        Words ids;
        std::set<std::string> claims;
        for (const auto& attachment : listed.attachments) {
            ids.push_back(attachment.id);
            claims.insert(attachment.uuid.empty() ? "function-" + attachment.host_address
                                                  : "mdev-" + attachment.uuid);
            if (attachment.uuid.empty())
                claims.insert("group-" + std::to_string(attachment.iommu_group));
        }
        // What is prepared is not plugged yet; and what was unplugged, but not yet put on record,
        // is given back by the next detach.
        for (const auto& id : plugged())
            EXPECT_THAT(ids, ::testing::Contains(id)) << reconciled.json;
        EXPECT_EQ(below("/run/kata-vfio/claims"), join_words({claims.begin(), claims.end()}, " "));
        EXPECT_FALSE(root.exists("/run/kata-vfio/sandboxes/sb1/journal")) << reconciled.json;
        EXPECT_THAT(below("/run/kata-vfio"), ::testing::Not(::testing::HasSubstr("state.json.")));
        if (ids.empty()) {
            EXPECT_EQ(difference(before, host_side()), "") << reconciled.json;
        }
    }

    Answer reconcile() const {
        PluginHost host(config, root.path());
        auto answer = host.reconcile();
        EXPECT_TRUE(answer.ok()) << answer;
        return answer;
    }

    fake::FakeRoot root;
    std::unique_ptr<fake::FakeKernel> kernel;
    fake::FakeMachine machine;
    std::filesystem::path config;
    Snapshot before;
};

} // namespace kata_vfio::abi_test
