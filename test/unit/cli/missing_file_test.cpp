// SPDX-License-Identifier: Apache-2.0
// A file that is not there, or is something else: what it is decides the exit status, not the verb
// (docs/errors.md), and each refusal names it and says what to do.
#include "command_world.hpp"

#include "runtime-plugin/cli/command_line.hpp"
#include "runtime-plugin/cli/help/command_help.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace kata_vfio::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr auto gpu = "0000:00:02.0";
constexpr auto type = "i915-GVTg_V4_8";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

enum Kind { configuration = 3, any_other = 4, qmp_socket = 5 };

struct MissingFile : SandboxWorld {
    MissingFile() {
        play();
        open();
        root.write("/wire.log", "{\"us\":0,\"wall_us\":0,\"kind\":\"log\",\"version\":1,"
                                "\"pid\":1}\n");
        root.write("/folder/in-it", "");
    }
    std::string at(const std::string& path) const { return root.at(path).string(); }

    /// Each verb with a FILE in each place where it takes one, %.
    std::vector<std::pair<Kind, std::vector<std::string>>> uses() const {
        const auto image = at("/wire.log"), log = at("/wire.log");
        return {
            {configuration, {"config", "check", "%"}},
            {configuration, {"config", "enable", "%"}},
            {configuration, {"config", "show", "%"}},
            {configuration, {"config", "set-kernel", kernel_image(), "%"}},
            {any_other,
             {"config", "set-kernel", "%below", at("/etc/kata-containers/configuration.toml")}},
            {any_other, {"check", "--guest-kernel", "%"}},
            {any_other, {"trace", "%"}},
            {any_other, {"trace", log, "--html", "%"}},
            {any_other, {"topology", "--svg", "%"}},
            {any_other, {"xml", "import", "%"}},
            {any_other, {"xml", "check", "%"}},
            {qmp_socket, {"sandbox", "open", "s2", "--qmp", "%"}},
            {qmp_socket, {"qmp", "--socket", "%", "query-status"}},
            {qmp_socket, {"events", "--socket", "%"}},
        };
    }
    std::string kernel_image() const {
        root.write("/boot/config-guest", "CONFIG_VFIO=y\n");
        return "/boot/config-guest"; // below the root, as the guest's host has it
    }
    Done use(std::vector<std::string> args, const std::string& file) const {
        for (auto& each : args)
            if (each == "%")
                each = file;
            else if (each == "%below")
                each = file.substr(root.path().string().size());
        return run(std::move(args));
    }
    void expect_refused(const std::string& file, const std::string& named) const {
        for (const auto& [kind, args] : uses()) {
            SCOPED_TRACE(testing::PrintToString(args) + " " + file);
            const auto done = use(args, file);
            EXPECT_EQ(done.status, static_cast<int>(kind)) << done.err;
            EXPECT_THAT(done.err, HasSubstr(named));
            EXPECT_THAT(done.err, HasSubstr("\n  what to do: "));
            EXPECT_EQ(done.out, "");
        }
    }
};

TEST_F(MissingFile, WhatIsMissingDecides) {
    expect_refused(at("/nowhere/it"), at("/nowhere"));
}

TEST_F(MissingFile, ADirectoryInItsPlace) {
    expect_refused(at("/folder"), "is a directory, not ");
    for (const auto& [kind, args] : uses())
        EXPECT_THAT(use(args, at("/folder")).err, HasSubstr(at("/folder"))) << args[0];
}

TEST_F(MissingFile, AResultIsNotWrittenOverWhatIsNoFile) {
    // As root a rename would put a file in the place of /dev/null.
    ASSERT_EQ(::mkfifo(at("/pipe").c_str(), 0600), 0);
    for (const auto& args : {std::vector<std::string>{"trace", at("/wire.log"), "--html", "%"},
                             {"topology", "--svg", "%"}}) {
        const auto done = use(args, at("/pipe"));
        EXPECT_EQ(done.status, 4);
        EXPECT_THAT(done.err, HasSubstr(at("/pipe") + " is a pipe, not a file"));
        EXPECT_TRUE(fs::is_fifo(at("/pipe")));
    }
}

TEST_F(MissingFile, WhatIsThereButOfAnotherKindIsNamed) {
    const auto text = at("/text");
    std::ofstream(text) << "hello\n";
    for (const auto& args : {std::vector<std::string>{"check", "--guest-kernel", "%"},
                             {"config", "set-kernel", "%below"},
                             {"trace", "%"}}) {
        const auto done = use(args, text);
        EXPECT_EQ(done.status, 4) << args[0] << done.out;
        EXPECT_THAT(done.err, HasSubstr(text)) << args[0];
        EXPECT_THAT(done.err, HasSubstr("\n  what to do: name ")) << args[0];
    }
    EXPECT_THAT(use({"trace", "%"}, text).err,
                HasSubstr("kata-vfio: " + text + " is no QMP log: not one line of it can be read"));
}

/// Every verb, as "sandbox open".
std::set<std::string> verbs() {
    std::set<std::string> names;
    for (const auto& verb : command_help().verbs) {
        if (verb.verbs.empty())
            names.insert(verb.name);
        for (const auto& nested : verb.verbs)
            names.insert(verb.name + " " + nested.name);
    }
    return names;
}

// --config FILE that is not there, with every verb: 3 where it is needed or named for what it has
// (state_dir, timeouts); said on the side where things are given back or looked at all the same;
// not looked at where nothing of it is used.
TEST_F(MissingFile, ConfigOfEveryVerb) {
    const auto missing = at("/nowhere/it.toml");
    const auto xml = at("/d.xml");
    std::ofstream(xml) << "<domain type='kvm'><name>x</name><os><type machine='pc'>hvm</type>"
                          "</os></domain>";
    enum { refused, told, unread };
    const std::vector<std::tuple<std::string, int, std::vector<std::string>>> table{
        {"gpus", refused, {}},
        {"vgpus", refused, {}},
        {"create", refused, {type}},
        {"remove", refused, {uuid}},
        {"bind", refused, {gpu}},
        {"restore", refused, {gpu}},
        {"topology", refused, {}},
        {"attach", refused, {"s1", gpu}},
        {"sandbox open", refused, {"s1", "--qmp", machine.path()}},
        {"trace", refused, {"s1"}},
        {"top", refused, {"--once"}},
        {"qmp", refused, {"s1", "query-status"}},
        {"events", refused, {"s1"}},
        {"detach", refused, {"s1", gpu}}, // it has nothing, so there is nothing to give back
        {"config check", refused, {}},
        {"config enable", refused, {}},
        {"config show", refused, {}},
        {"config set-kernel", refused, {kernel_image()}},
        {"list", told, {}},
        {"reconcile", told, {}},
        {"sandbox release", told, {"s1"}},
        {"xml export", told, {"s1"}},
        {"check", unread, {}},
        {"types", unread, {}},
        {"xml import", unread, {xml}},
        {"xml check", unread, {xml}},
    };
    std::set<std::string> seen;
    ::setenv("KATA_VFIO_LIBVIRT", "/nowhere/helper", 1);
    for (const auto& [verb, how, operands] : table) {
        SCOPED_TRACE(verb);
        seen.insert(verb);
        std::vector<std::string> args{"--config", missing};
        const auto space = verb.find(' ');
        args.push_back(verb.substr(0, space));
        if (space != verb.npos)
            args.push_back(verb.substr(space + 1));
        args.insert(args.end(), operands.begin(), operands.end());
        const auto done = run(args);
        if (how == refused) {
            EXPECT_EQ(done.status, 3) << done.err;
            EXPECT_THAT(done.err, HasSubstr("\n  what to do: "));
        } else if (how == told) {
            EXPECT_NE(done.status, 3) << done.err;
        }
        EXPECT_EQ(done.err.find(missing) != std::string::npos, how != unread) << done.err;
    }
    ::unsetenv("KATA_VFIO_LIBVIRT");
    EXPECT_EQ(seen, verbs());
}

} // namespace
} // namespace kata_vfio::cli
