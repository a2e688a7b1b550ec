// SPDX-License-Identifier: Apache-2.0
// What is left when a process of ours, or QEMU, dies between any two steps, or a write of the state
// directory fails: after one reconcile, nothing.
#include "runtime-plugin/plugin/crash_point.hpp"
#include "test/abi/crash_place.hpp"

#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>

namespace kata_vfio::abi_test {
namespace {

const std::string detach_vgpu = "detach=" + std::string(uuid_a);
const std::string detach_gpu = "detach=" + std::string(gpu);
const std::string attach_virtual = "attach=sriov@" + std::string(physical_function);
const std::string detach_virtual = "detach=sriov@" + std::string(physical_function);
const std::string open_with_vgpu = "open=vgpu_type=" + std::string(type8);
const std::string open_with_gpu = "open=gpu=" + std::string(gpu);

struct Scenario {
    std::string name;
    std::function<void(Place&)> prepare; ///< by processes that live
    Words words;                         ///< of the one that dies
};
std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
    return out << scenario.name;
}

std::function<void(Place&)> after(Words words) {
    return [words = std::move(words)](Place& place) { ASSERT_EQ(place.run(words), 0); };
}

std::vector<Scenario> scenarios() {
    const auto refused = [](Place& place) {
        ASSERT_EQ(place.run({"open"}), 0);
        place.machine.refuse_device_add("not today");
    };
    const auto unplugged_late = [](Place& place) {
        ASSERT_EQ(place.run({"open"}), 0);
        ASSERT_EQ(place.run({"open", attach_vgpu}, {"KATA_VFIO_CRASH_AT=attach_plugged"}),
                  -SIGKILL);
    };
    const auto half_bound = [](Place& place) {
        ASSERT_EQ(place.run({"open"}), 0);
        ASSERT_EQ(place.run({"open", attach_gpu}, {"KATA_VFIO_CRASH_AT=attach_bound"}), -SIGKILL);
    };
    const auto qemu_died = [](Place& place) {
        ASSERT_EQ(place.run({"open", attach_vgpu}), 0);
        place.kill_qemu();
    };
    const auto gpu_left = [](Place& place) {
        ASSERT_EQ(place.run({"open", attach_gpu}), 0);
        place.kill_qemu();
    };
    const auto strange_files = [](Place& place) {
        ASSERT_EQ(place.run({"open", attach_vgpu}), 0);
        place.root.write("/run/kata-vfio/claims/group-77",
                         "{\"v\":1,\"sandbox\":\"gone\",\"pid\":3,\"start\":1}\n");
        place.root.write("/run/kata-vfio/claims/group-78", "{\"v\":2}\n");
    };
    const auto nothing = [](Place&) {};
    const auto refused_at_open = [](Place& place) { place.machine.refuse_device_add("not today"); };
    const auto prepared = [](Place& place) {
        ASSERT_EQ(place.run({open_with_vgpu}, {"KATA_VFIO_CRASH_AT=own_prepared"}), -SIGKILL);
    };
    const auto half_plugged = [](Place& place) {
        ASSERT_EQ(place.run({open_with_gpu}, {"KATA_VFIO_CRASH_AT=attach_plugged"}), -SIGKILL);
    };
    const auto not_started = [](Place& place) { place.machine.set_run_state("prelaunch"); };
    const auto owner_died = [](Place& place) {
        place.root.write("/proc/4242/stat",
                         "4242 (shim) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0\n");
        ASSERT_EQ(place.run({"owner=4242", open_with_vgpu}), 0);
        place.root.remove_holder(4242);
    };
    // Where it can be done: only root gives files away.
    const bool gives = ::geteuid() == 0;
    const auto of_a_user = [](Place& place) { place.qemu_is_user(64055, "chown_nodes = true"); };
    const auto opened_by_a_user = [=](Place& place) {
        of_a_user(place);
        ASSERT_EQ(place.run({"open"}), 0);
    };
    const auto refused_to_a_user = [=](Place& place) {
        of_a_user(place);
        refused(place);
    };
    const auto lent = [=](Place& place) {
        of_a_user(place);
        ASSERT_EQ(place.run({"open", attach_function}), 0);
    };
    const auto dead_with_a_node = [=](Place& place) {
        lent(place);
        place.kill_qemu();
    };
    std::vector<Scenario> all{
        {"open", nothing, {"open"}},
        {"open_with_vgpu", nothing, {open_with_vgpu}},
        {"open_with_gpu", nothing, {open_with_gpu}},
        {"open_with_vgpu_refused", refused_at_open, {open_with_vgpu}},
        {"open_with_gpu_refused", refused_at_open, {open_with_gpu}},
        {"open_before_the_guest_runs", not_started, {open_with_vgpu}},
        {"open_again_with_what_is_prepared", prepared, {"open"}},
        {"open_again_after_half_a_plug", half_plugged, {"open"}},
        {"release_own_vgpu", after({open_with_vgpu}), {"release"}},
        {"reconcile_of_the_ownerless", owner_died, {"reconcile"}},
        {"attach_vgpu", after({"open"}), {"open", attach_vgpu}},
        {"attach_gpu", after({"open"}), {"open", attach_gpu}},
        {"attach_virtual_function", after({"open"}), {"open", attach_virtual}},
        {"attach_virtual_function_refused", refused, {"open", attach_virtual}},
        {"detach_virtual_function", after({"open", attach_virtual}), {"open", detach_virtual}},
        {"release_virtual_function", after({"open", attach_virtual}), {"release"}},
        {"attach_vgpu_refused", refused, {"open", attach_vgpu}},
        {"attach_gpu_refused", refused, {"open", attach_gpu}},
        {"detach_vgpu", after({"open", attach_vgpu}), {"open", detach_vgpu}},
        {"detach_gpu", after({"open", attach_gpu}), {"open", detach_gpu}},
        {"release_vgpu", after({"open", attach_vgpu}), {"release"}},
        {"release_gpu", after({"open", attach_gpu}), {"release"}},
        {"reconcile_plugged", unplugged_late, {"reconcile"}},
        {"reconcile_bound", half_bound, {"reconcile"}},
        {"reconcile_vgpu_of_the_dead", qemu_died, {"reconcile"}},
        {"reconcile_gpu_of_the_dead", gpu_left, {"reconcile"}},
        {"reconcile_strange_files", strange_files, {"reconcile"}},
    };
    if (gives)
        all.insert(
            all.end(),
            {{"attach_vgpu_to_a_user", opened_by_a_user, {"open", attach_vgpu}},
             {"attach_gpu_to_a_user", opened_by_a_user, {"open", attach_gpu}},
             {"attach_function_to_a_user", opened_by_a_user, {"open", attach_function}},
             {"attach_function_to_a_user_refused", refused_to_a_user, {"open", attach_function}},
             {"open_with_gpu_for_a_user", of_a_user, {open_with_gpu}},
             {"detach_function_of_a_user", lent, {"open", detach_function}},
             {"release_function_of_a_user", lent, {"release"}},
             {"reconcile_function_of_the_dead", dead_with_a_node, {"reconcile"}}});
    return all;
}

/// A point that only a QEMU of another user comes by.
bool lends(std::string_view point) {
    return point.find("chown") != point.npos || point.ends_with("_owner_restored");
}

/// How often each point is passed.
std::map<std::string, int> trace(const Scenario& scenario) {
    Place place;
    scenario.prepare(place);
    int pipe[2];
    if (::pipe(pipe) != 0 || ::fcntl(pipe[1], F_SETPIPE_SZ, 1 << 16) < 0)
        throw std::runtime_error("pipe");
    (void)place.run(scenario.words, {"KATA_VFIO_CRASH_TRACE=" + std::to_string(pipe[1])});
    ::close(pipe[1]);
    const UniqueFd from(pipe[0]);
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(from.get(), buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(n));
    std::map<std::string, int> passed;
    for (const auto line : split(text, '\n'))
        if (!line.empty())
            ++passed[std::string(line)];
    return passed;
}

class CrashMatrix : public ::testing::TestWithParam<Scenario> {
  protected:
    void SetUp() override {
#ifndef KATA_VFIO_CRASH_POINTS
        GTEST_SKIP()
            << "built without KATA_VFIO_CRASH_POINTS: processes can't be told where to die";
#endif
    }
    using Check = std::function<void(Place&, const Words& environment)>;
    /// Every pass of every point of the scenario that `wanted` takes, each on a host of its own.
    void each(const std::function<bool(const std::string&)>& wanted, const std::string& suffix,
              const Check& check) {
        int runs = 0;
        for (const auto& [point, times] : trace(GetParam()))
            for (int pass = 0; wanted(point) && pass < times; ++pass) {
                SCOPED_TRACE(GetParam().name + " at " + point + " (pass " +
                             std::to_string(pass + 1) + " of " + std::to_string(times) + ")");
                Place place;
                GetParam().prepare(place);
                check(place, {"KATA_VFIO_CRASH_AT=" + point + suffix,
                              "KATA_VFIO_CRASH_SKIP=" + std::to_string(pass)});
                ++runs;
                if (HasFailure())
                    return; // one is enough to look at
            }
        std::cout << GetParam().name << ": " << runs << " places to die" << suffix << std::endl;
    }
    static bool any(const std::string&) { return true; }
    /// Whether a call through which that write fails must fail: a reconcile has it in its report,
    /// and an open of what is known, for the devices it has still to plug, in the log.
    static bool is_told(const Scenario& scenario, const std::string& point) {
        return !scenario.name.starts_with("reconcile_") &&
               !scenario.name.starts_with("open_again_") &&
               point.find("state_sync_write") == point.npos &&
               point.find("journal_clear_write") == point.npos;
    }
    static bool writes(const std::string& point) { return point.ends_with("_write"); }

    /// One reconcile while QEMU runs, and one after its end.
    static void put_right(Place& place) {
        const auto answer = place.reconcile();
        if (place.root.exists("/proc/" + std::to_string(::getpid())))
            place.expect_consistent(answer);
        place.kill_qemu();
        (void)place.reconcile();
        place.expect_nothing_left();
    }
};

TEST_P(CrashMatrix, TheProcessDies) {
    each(any, "", [&](Place& place, const Words& environment) {
        ASSERT_EQ(place.run(GetParam().words, environment), -SIGKILL);
        put_right(place);
    });
}

TEST_P(CrashMatrix, TheProcessAndQemuDie) {
    each(any, "", [&](Place& place, const Words& environment) {
        ASSERT_EQ(place.run(GetParam().words, environment), -SIGKILL);
        place.kill_qemu();
        (void)place.reconcile();
        place.expect_nothing_left();
    });
}

TEST_P(CrashMatrix, QemuDies) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const UniqueFd ours(ends[0]), theirs(ends[1]);
    ASSERT_EQ(::fcntl(ours.get(), F_SETFD, FD_CLOEXEC), 0);
    const auto stays = [](const std::string& point) { return !writes(point); };
    each(stays, ":" + std::to_string(theirs.get()), [&](Place& place, const Words& environment) {
        const auto status = place.run(GetParam().words, environment, [&] {
            char byte = 0;
            ASSERT_EQ(::read(ours.get(), &byte, 1), 1);
            place.kill_qemu();
            ASSERT_EQ(::write(ours.get(), &byte, 1), 1);
        });
        EXPECT_GE(status, 0) << "it is to end by itself, with a failure or without";
        (void)place.reconcile();
        place.expect_nothing_left();
    });
}

TEST_P(CrashMatrix, AWriteFails) {
    for (const int error : {ENOSPC, EIO, EACCES})
        each(writes, ":" + std::to_string(error), [&](Place& place, const Words& environment) {
            const auto status = place.run(GetParam().words, environment);
            EXPECT_GE(status, 0) << "it is to end by itself";
            if (is_told(GetParam(), environment.front())) {
                EXPECT_GT(status, 0) << "the write failed, and the call did not";
            }
            put_right(place);
        });
}

INSTANTIATE_TEST_SUITE_P(, CrashMatrix, ::testing::ValuesIn(scenarios()),
                         [](const auto& each) { return each.param.name; });

TEST(CrashPoints, AreAllPassed) {
#ifndef KATA_VFIO_CRASH_POINTS
    GTEST_SKIP() << "built without KATA_VFIO_CRASH_POINTS";
#endif
    std::map<std::string, int> all;
    int passes = 0;
    for (const auto& scenario : scenarios())
        for (const auto& [point, times] : trace(scenario)) {
            all[point] += times;
            passes += times;
        }
    for (const auto name : plugin::crash_point_names)
        if (::geteuid() == 0 || !lends(name)) {
            EXPECT_TRUE(all.contains(std::string(name))) << name << " is passed by no scenario";
        }
    std::cout << plugin::crash_point_names.size() << " crash points, passed " << passes
              << " times in " << scenarios().size() << " scenarios" << std::endl;
}

} // namespace
} // namespace kata_vfio::abi_test
