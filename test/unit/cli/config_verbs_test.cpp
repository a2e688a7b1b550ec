// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

using testing::HasSubstr;

struct ConfigVerbs : testing::Test {
    ConfigVerbs() { ::unsetenv("KATA_CONF_FILE"); }

    std::string write(const std::string& text) const {
        root.write("/etc/kata-containers/configuration.toml", text);
        return root.at("/etc/kata-containers/configuration.toml").string();
    }
    Done run(std::vector<std::string> args) const {
        args.insert(args.begin(), {"--root", root.path().string()});
        return command(args);
    }

    fake::FakeRoot root;
    const std::string good = "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                             "hotplug_vfio_on_root_bus = true\n";
    const std::string stock = "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                              "# hotplug_vfio_on_root_bus = true\n";
};

TEST_F(ConfigVerbs, CheckOfAGoodOne) {
    const auto file = write(good);
    const auto plain = run({"config", "check"});
    EXPECT_EQ(plain.status, 0);
    EXPECT_EQ(plain.out, file + ": ok\n");
    const auto json = run({"config", "check", file, "--json"}).json();
    EXPECT_EQ(json.at("ok"), true);
    EXPECT_EQ(json.at("file"), boost::json::string(file));
    EXPECT_EQ(json.at("findings"), boost::json::array());
    EXPECT_FALSE(json.contains("error"));
}

TEST_F(ConfigVerbs, CheckNamesEveryFindingAndWarning) {
    write("[hypervisor.qemu]\nmachine_type = \"q35\"\nmachine_typo = 1\n");
    const auto plain = run({"config", "check"});
    EXPECT_EQ(plain.status, 3);
    EXPECT_THAT(plain.err, HasSubstr("configuration.toml:2:"));
    EXPECT_THAT(plain.err, HasSubstr("machine_type"));
    EXPECT_THAT(plain.err, HasSubstr("hotplug_vfio_on_root_bus"));
    EXPECT_THAT(plain.out, HasSubstr("warning: "));
    EXPECT_THAT(plain.out, HasSubstr("machine_typo"));

    const auto json = run({"config", "check", "--json"});
    EXPECT_EQ(json.status, 3);
    EXPECT_EQ(json.json().at("ok"), false);
    EXPECT_EQ(json.json().at("findings").at(0).at("code"), "machine_refused");
    EXPECT_EQ(json.json().at("findings").at(1).at("code"), "root_bus_off");
    EXPECT_EQ(json.json().at("error").at("name"), "machine_refused");
    EXPECT_EQ(json.json().at("warnings").as_array().size(), 1u);
}

// A wrong type does not hide a broken rule; the rule about the value itself is not told twice.
TEST_F(ConfigVerbs, CheckTellsWrongTypesAndBrokenRulesTogether) {
    const auto file = write("[hypervisor.qemu]\nmachine_type = \"q35\"\n"
                            "hotplug_vfio_on_root_bus = \"yes\"\n[vfio.timeouts]\nquery = 0\n");
    const auto plain = run({"config", "check"});
    EXPECT_EQ(plain.status, 3);
    const auto json = run({"config", "check", "--json"}).json();
    std::vector<std::string> told;
    for (const auto& finding : json.at("findings").as_array())
        told.push_back(std::to_string(finding.at("line").as_int64()) + " " +
                       std::string(finding.at("key").as_string()));
    EXPECT_THAT(told,
                testing::ElementsAre("3 hotplug_vfio_on_root_bus", "5 query", "2 machine_type"));
    for (const auto* place : {":2:16 machine_type: ", ":3:28 hotplug_vfio", ":5:9 query: "})
        EXPECT_THAT(plain.err, HasSubstr(file + place));

    write("[hypervisor.qemu\nmachine_type = \"q35\"\n");
    const auto broken = run({"config", "check", "--json"}).json();
    EXPECT_EQ(broken.at("findings").as_array().size(), 1u) << "nothing is known of the rest";
}

TEST_F(ConfigVerbs, WhatCantBeReadEndsWith3) {
    write("[hypervisor.qemu]\nmachine_type = 7\n");
    const auto refused = run({"config", "check", "--json"});
    EXPECT_EQ(refused.status, 3);
    EXPECT_EQ(refused.json().at("error").at("name"), "config_invalid");
    EXPECT_THAT(refused.err, HasSubstr("configuration.toml:2:"));
    EXPECT_EQ(run({"config", "show", "/nowhere.toml"}).status, 3);
}

TEST_F(ConfigVerbs, NoneAtAllNamesThePlaces) {
    const auto refused = run({"config", "show"});
    EXPECT_EQ(refused.status, 3);
    EXPECT_THAT(refused.err, HasSubstr("etc/kata-containers/configuration.toml"));
    EXPECT_THAT(refused.err, HasSubstr("--config FILE"));
}

TEST_F(ConfigVerbs, EnableUncommentsTheLine) {
    const auto file = write(stock);
    EXPECT_EQ(run({"config", "check"}).status, 3);
    const auto done = run({"config", "enable"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr(file + ":3:"));
    EXPECT_THAT(done.out, HasSubstr("(was commented out)\n"));
    EXPECT_EQ(root.read("/etc/kata-containers/configuration.toml"), good);
    const auto again = run({"config", "enable", file, "--json"}).json();
    EXPECT_EQ(again.at("edit"), "none");
    EXPECT_EQ(again.at("line"), 3);
    EXPECT_EQ(again.at("left"), boost::json::array());
}

TEST_F(ConfigVerbs, CheckSaysWhichFileToEnable) {
    const auto file = root.at("/opt/mine.toml").string();
    for (const auto* text :
         {"", "hotplug_vfio_on_root_bus = false\n", "# hotplug_vfio_on_root_bus = true\n"}) {
        root.write("/opt/mine.toml", std::string("[hypervisor.qemu]\n") + text);
        EXPECT_THAT(run({"config", "check", file}).err,
                    HasSubstr("run kata-vfio config enable " + file + ", or "));
    }
}

TEST_F(ConfigVerbs, EnableTellsOfAMisspeltKeyThatIsLeft) {
    write("[hypervisor.qemu]\nhotplug_vfio_on_rootbus = true\n");
    const auto done = run({"config", "enable"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("warning: "));
    EXPECT_THAT(done.out, HasSubstr("hotplug_vfio_on_rootbus"));
    const auto json = run({"config", "enable", "--json"}).json();
    EXPECT_EQ(json.at("warnings").as_array().size(), 1u);
}

TEST_F(ConfigVerbs, ARefusedEnableNamesThePlaceInTheFileAsItIs) {
    const std::string text = "[hypervisor.qemu]\nmachine_typo = 1\nkernel = 7\n";
    const auto file = write(text);
    const auto done = run({"config", "enable"});
    EXPECT_EQ(done.status, 3);
    EXPECT_THAT(done.err, HasSubstr(file + ":3:10 kernel"));
    EXPECT_THAT(done.err, HasSubstr("was not written"));
    EXPECT_THAT(done.out, HasSubstr("warning: " + file + ":2:"));
    EXPECT_EQ(root.read("/etc/kata-containers/configuration.toml"), text);

    const auto json = run({"config", "enable", "--json"});
    EXPECT_EQ(json.status, 3);
    EXPECT_EQ(json.json().at("file"), boost::json::string(file));
    EXPECT_EQ(json.json().at("error").at("name"), "config_invalid");
    ASSERT_EQ(json.json().at("warnings").as_array().size(), 1u);
    EXPECT_EQ(json.json().at("warnings").at(0).at("line"), 2);
    EXPECT_EQ(json.err, done.err) << "told to people once, as without --json";
}

// 6, 7: each says what to do.
TEST_F(ConfigVerbs, WhatCantBeReadSaysWhatToDo) {
    write("[hypervisor.qemu]\nmachine_type = \"pc\nhotplug_vfio_on_root_bus = true\n");
    for (const auto* verb : {"check", "enable", "show"}) {
        const auto unclosed = run({"config", verb});
        EXPECT_EQ(unclosed.status, 3) << verb;
        EXPECT_THAT(unclosed.err, HasSubstr("configuration.toml:2:19: not valid TOML: ")) << verb;
        EXPECT_THAT(
            unclosed.err,
            HasSubstr("  what to do: a quote is opened and not closed before the line ends: "
                      "close it"))
            << verb;
        const auto missing = run({"config", verb, "/nowhere.toml"});
        EXPECT_THAT(
            missing.err,
            HasSubstr("  what to do: name a configuration.toml that is there, or none: then "
                      "Kata's own places are looked at\n"))
            << verb;
        const auto directory = run({"config", verb, root.path().string()});
        EXPECT_THAT(directory.err, HasSubstr("is a directory, not a file\n  what to do: name the "
                                             "configuration.toml itself\n"))
            << verb;
    }
    write("[hypervisor.qemu\n");
    EXPECT_THAT(run({"config", "check"}).err, HasSubstr("  what to do: correct "));
}

TEST_F(ConfigVerbs, EnableTellsWhatIsStillInTheWay) {
    write("[hypervisor.qemu]\nmachine_type = \"q35\"\nhotplug_vfio_on_root_bus = false\n");
    const auto done = run({"config", "enable"});
    EXPECT_EQ(done.status, 3);
    EXPECT_THAT(done.out, HasSubstr("(had another value)"));
    EXPECT_THAT(done.err, HasSubstr("machine_type"));
    EXPECT_THAT(root.read("/etc/kata-containers/configuration.toml"),
                HasSubstr("hotplug_vfio_on_root_bus = true"));
}

TEST_F(ConfigVerbs, ShowHasOrigins) {
    const auto file = write(good);
    const auto toml = run({"config", "show"}).out;
    EXPECT_THAT(toml, HasSubstr("hotplug_vfio_on_root_bus = true # " + file + ":3:"));
    const auto json = run({"config", "show", "--json"}).json();
    EXPECT_EQ(json.at("values").at("hypervisor.qemu").at("machine_type").at("value"), "pc");
    EXPECT_EQ(json.at("values").at("vfio").at("state_dir").at("default"), true);
}

} // namespace
} // namespace kata_vfio::cli
