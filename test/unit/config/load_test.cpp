// SPDX-License-Identifier: Apache-2.0
#include "config/load.hpp"

#include "config/document.hpp"
#include "config/validate.hpp"
#include "support.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace kata_vfio;
using namespace kata_vfio::config;
namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

constexpr std::string_view on = "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n";
constexpr std::string_view off = "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = false\n";

class Load : public testing::Test {
  protected:
    std::string error(const fs::path& file) const {
        return dir_.relative(thrown([&] { load(file); }));
    }
    std::string warnings(const Configuration& configuration) const {
        std::string text;
        for (const auto& warning : configuration.warnings)
            text += warning.str() + "\n";
        return dir_.relative(text);
    }
    Scratch dir_;
};

} // namespace

TEST_F(Load, ADropInOverridesAndRemembersBothPlaces) {
    const auto main = dir_.write("configuration.toml", on);
    dir_.write("config.d/10-off", off);
    const auto c = load(main);
    EXPECT_FALSE(c.hypervisor.hotplug_vfio_on_root_bus);
    const auto& origin = c.where.at("hypervisor.qemu.hotplug_vfio_on_root_bus");
    EXPECT_EQ(dir_.relative(origin.at.str()), "config.d/10-off:2:28");
    ASSERT_EQ(origin.overridden.size(), 1u);
    EXPECT_EQ(dir_.relative(origin.overridden[0].str()), "configuration.toml:2:28");
    EXPECT_EQ(dir_.relative(thrown([&] { enforce(c); })),
              "root_bus_off: config.d/10-off:2:28 hotplug_vfio_on_root_bus: is false: this drop-in "
              "turns it off, over configuration.toml:2:28; set it to true there, or take the line "
              "out of the drop-in");
}

TEST_F(Load, DropInsInByteOrderMergedKeyByKey) {
    const auto main = dir_.write("configuration.toml", "[hypervisor.qemu]\nkernel = '/main'\n"
                                                       "default_memory = 4096\n"
                                                       "[vfio]\nallowed_types = ['a', 'b']\n");
    dir_.write("config.d/b.toml", "[hypervisor.qemu]\nkernel = '/b'\n");
    dir_.write("config.d/B.toml", "[hypervisor.qemu]\nkernel = '/B'\nmemory_slots = 3\n");
    dir_.write("config.d/9.toml", "[vfio]\nallowed_types = ['c']\n");
    const auto c = load(main);
    EXPECT_EQ(c.hypervisor.kernel, "/b");
    EXPECT_EQ(c.hypervisor.default_memory, 4096);
    EXPECT_EQ(c.hypervisor.memory_slots, 3);
    EXPECT_EQ(c.vfio.allowed_types, std::vector<std::string>{"c"}) << "a list replaces a list";
    std::string files;
    for (const auto& file : c.files)
        files += file.string() + " ";
    EXPECT_EQ(dir_.relative(files),
              "configuration.toml config.d/9.toml config.d/B.toml config.d/b.toml ");
}

TEST_F(Load, DropInsLieBesideWhatTheMainFileLinksTo) {
    dir_.write("real/configuration-qemu.toml", on);
    dir_.write("real/config.d/1", "[hypervisor.qemu]\nkernel = '/right'\n");
    dir_.write("etc/config.d/1", "[hypervisor.qemu]\nkernel = '/wrong'\n");
    fs::create_symlink("../real/configuration-qemu.toml", dir_.path() / "etc/configuration.toml");
    EXPECT_EQ(load(dir_.path() / "etc/configuration.toml").hypervisor.kernel, "/right");
}

TEST_F(Load, WhatIsNoFileInConfigDIsSkippedAndSaid) {
    const auto main = dir_.write("configuration.toml", on);
    dir_.write("config.d/sub/x.toml", off);
    ASSERT_EQ(::mkfifo((dir_.path() / "config.d/pipe").c_str(), 0600), 0);
    dir_.write("elsewhere", "[hypervisor.qemu]\nkernel = '/linked'\n");
    fs::create_symlink("../elsewhere", dir_.path() / "config.d/link");
    const auto c = load(main);
    EXPECT_TRUE(c.hypervisor.hotplug_vfio_on_root_bus);
    EXPECT_EQ(c.hypervisor.kernel, "/linked") << "a link to a file is a file";
    EXPECT_EQ(warnings(c), "config.d/pipe: is a pipe and is skipped: drop-ins are files\n"
                           "config.d/sub: is a directory and is skipped: drop-ins are files\n");
}

TEST_F(Load, ADropInThatCannotBeReadIsAnError) {
    const auto main = dir_.write("configuration.toml", on);
    fs::create_directory(dir_.path() / "config.d");
    fs::create_symlink("gone", dir_.path() / "config.d/policy");
    EXPECT_EQ(error(main), "config_invalid: config.d/policy: is a symbolic link to gone, which "
                           "does not exist; correct it, or take it out of config.d");
}

TEST_F(Load, AConfigDThatCannotBeListedIsAnError) {
    const auto main = dir_.write("configuration.toml", on);
    dir_.write("config.d", "a file");
    EXPECT_EQ(error(main), "config_invalid: config.d: can't be read: Not a directory; make it a "
                           "folder of drop-ins, or remove it");
    fs::remove(dir_.path() / "config.d");
    fs::create_symlink("gone", dir_.path() / "config.d");
    EXPECT_THAT(error(main),
                StartsWith("config_invalid: config.d: can't be read: No such file or directory; "));
}

TEST_F(Load, TheErrorsOfAllFilesAreTold) {
    const auto main = dir_.write("configuration.toml", "[hypervisor.qemu]\nkernel = 1\n");
    dir_.write("config.d/1", "[vfio\n");
    dir_.write("config.d/2", "[vfio]\nstate_dir = 2\n");
    EXPECT_EQ(error(main),
              "config_invalid: configuration.toml:2:10 kernel: must be a string, is the number 1; "
              "write it in quotes\n"
              "config.d/1:1:6: not valid TOML: Error while parsing table header: expected ']', "
              "saw '\\n'\n"
              "config.d/2:2:13 state_dir: must be a string, is the number 2; write it in quotes; "
              "correct the file there; kata-vfio config check tells what is left");
}

TEST_F(Load, WhatIsNoConfigurationFileIsNamed) {
    EXPECT_EQ(error(dir_.path() / "none"),
              "config_invalid: none: can't be read: No such file or directory; name a "
              "configuration.toml that is there, or none: then Kata's own places are looked at");
    EXPECT_THAT(error(dir_.path()), HasSubstr(": is a directory, not a file"));
    fs::create_symlink("nowhere", dir_.path() / "dangling");
    EXPECT_EQ(error(dir_.path() / "dangling"),
              "config_invalid: dangling: is a symbolic link to nowhere, which does not exist; name "
              "a configuration.toml that is there, or none: then Kata's own places are looked at");
    fs::create_symlink("loop", dir_.path() / "loop");
    EXPECT_THAT(error(dir_.path() / "loop"), HasSubstr("Too many levels of symbolic links"));
    // Opened, a pipe without a writer would hold us for ever.
    ASSERT_EQ(::mkfifo((dir_.path() / "pipe").c_str(), 0600), 0);
    EXPECT_EQ(error(dir_.path() / "pipe"),
              "config_invalid: pipe: is a pipe, not a file; name the configuration.toml "
              "itself");
    const auto long_file = dir_.write("long", std::string(10u << 20, '#'));
    EXPECT_EQ(error(long_file),
              "config_invalid: long: is too long for a configuration file: "
              "10485760 bytes, at most 1048576; name the configuration.toml itself");
}

TEST_F(Load, AFileWithoutReadPermission) {
    const auto file = dir_.write("secret", on);
    ASSERT_EQ(::chmod(file.c_str(), 0), 0);
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    // Root reads every file, so it is nobody who tries.
    const auto user = ::geteuid();
    ASSERT_EQ(::seteuid(user == 0 ? 65534 : user), 0);
    const auto said = error(file);
    ASSERT_EQ(::seteuid(user), 0);
    EXPECT_EQ(said,
              "config_invalid: secret: can't be read: Permission denied; run as root, or as a user "
              "who may read it");
}

TEST_F(Load, BinaryGarbageIsOneErrorWithAPlace) {
    std::string garbage;
    for (int i = 0; i < 4096; ++i)
        garbage += static_cast<char>(i * 37 + i / 256);
    EXPECT_THAT(error(dir_.write("garbage", garbage)),
                StartsWith("config_invalid: garbage:1:4: not valid TOML: "));
    EXPECT_THAT(error(dir_.write("utf8", "[hypervisor.qemu]\nkernel = \"\xff\xfe\"\n")),
                StartsWith("config_invalid: utf8:2:"));
    EXPECT_THAT(error(dir_.write("deep", "a = " + std::string(10000, '['))),
                StartsWith("config_invalid: deep:1:"));
    std::string parts;
    for (int i = 0; i < 100000; ++i)
        parts += "a.";
    for (const auto& text : {parts + "a = 1\n", '[' + parts + "a]\n"})
        EXPECT_THAT(error(dir_.write("parts", "# first\n" + text)),
                    StartsWith("config_invalid: parts:2:200"))
            << text.substr(0, 9);
    EXPECT_THAT(error(dir_.write("parts", parts + "a = 1\n")),
                EndsWith(": has more than 1000 dots in a line: no key has as many parts"));
}

TEST_F(Load, ALongWordIsNotMeasuredAgainstEveryKey) {
    const auto c = load(dir_.write("f", std::string(on) + std::string(900000, 'k') + " = 1\n"));
    ASSERT_EQ(c.unknown.size(), 1u);
    EXPECT_EQ(c.unknown[0].meant, "");
}

TEST(LoadText, ByteOrderMarkAndDosLineEndsDoNotShiftPlaces) {
    const auto c = load_text("\xEF\xBB\xBF[hypervisor.qemu]\r\nhotplug_vfio_on_root_bus = true\r\n"
                             "machine_type = \"q35\"\r\n",
                             "f");
    EXPECT_TRUE(c.hypervisor.hotplug_vfio_on_root_bus);
    EXPECT_EQ(c.position("hypervisor.qemu.machine_type").str(), "f:3:16");
}

TEST(LoadText, EmptyIsAllDefaults) {
    const auto c = load_text("", "f");
    EXPECT_TRUE(c.where.empty());
    EXPECT_EQ(c.hypervisor.machine_type, "pc");
    EXPECT_EQ(c.position("hypervisor.qemu.machine_type").str(), "f");
}

TEST(LoadText, UnknownMisplacedAndObsoleteKeysAreWarnings) {
    const auto c = load_text("machine_type = \"pc\"\n"
                             "[hypervisor.qemu]\n"
                             "kernal = \"/x\"\n"
                             "hot_plug_vfio = \"root-port\"\n"
                             "pcie_root_port = 2\n"
                             "vfio_mode = \"vfio\"\n"
                             "quite_something_else = 1\n"
                             "[hypervisor.clh]\n"
                             "whatever = 1\n"
                             "[vifo]\n"
                             "x = 1\n"
                             "[vfio.timeout]\n"
                             "x = 1\n",
                             "f");
    std::string text;
    for (const auto& warning : c.warnings)
        text += warning.str() + "\n";
    EXPECT_EQ(
        text,
        "f:1:1 machine_type: is no known key of the top level (it belongs in [hypervisor.qemu])\n"
        "f:3:1 hypervisor.qemu.kernal: is no known key (did you mean kernel?)\n"
        "f:4:1 hypervisor.qemu.hot_plug_vfio: is obsolete and has no effect here: PCIe ports "
        "belong to q35, while devices go on the root bus of the pc machine "
        "(hotplug_vfio_on_root_bus = true)\n"
        "f:5:1 hypervisor.qemu.pcie_root_port: is obsolete and has no effect here: PCIe ports "
        "belong to q35, while devices go on the root bus of the pc machine "
        "(hotplug_vfio_on_root_bus = true)\n"
        "f:6:1 hypervisor.qemu.vfio_mode: is no known key of [hypervisor.qemu] (it belongs in "
        "[runtime])\n"
        "f:7:1 hypervisor.qemu.quite_something_else: is no known key\n"
        "f:10:2 vifo: is no known table (did you mean [vfio]?)\n"
        "f:12:7 vfio.timeout: is no known table (did you mean [vfio.timeouts]?)\n");
}

TEST(LoadText, AWrongValueLeavesTheOthersOfTheFileInPlace) {
    Configuration c;
    std::vector<Problem> problems;
    merge(c, "[hypervisor.qemu]\nkernel = 1\nimage = \"/i\"\n", "f", problems);
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(c.hypervisor.image, "/i");
    EXPECT_EQ(c.hypervisor.kernel, Configuration().hypervisor.kernel);
    EXPECT_FALSE(c.where.contains("hypervisor.qemu.kernel"));
}

TEST(Find, EnvironmentThenEtcThenUsrShareThenOptKata) {
    Scratch root;
    const auto found = [&](const char* env) {
        return root.relative(config::find(root.path(), env).string());
    };
    EXPECT_EQ(root.relative(thrown([&] { config::find(root.path(), nullptr); })),
              "config_invalid: no configuration.toml: none of "
              "etc/kata-containers/configuration.toml, "
              "usr/share/defaults/kata-containers/configuration.toml, "
              "opt/kata/share/defaults/kata-containers/configuration.toml and "
              "opt/kata/share/defaults/kata-containers/configuration-qemu.toml exists, and "
              "KATA_CONF_FILE is not set; install Kata's configuration.toml at one of these, or "
              "name another: --config FILE, or KATA_CONF_FILE");
    for (const std::string place : {"configuration-qemu.toml", "configuration.toml"}) {
        root.write("opt/kata/share/defaults/kata-containers/" + place, on);
        EXPECT_EQ(found(nullptr), "opt/kata/share/defaults/kata-containers/" + place);
    }
    root.write("usr/share/defaults/kata-containers/configuration.toml", on);
    EXPECT_EQ(found(nullptr), "usr/share/defaults/kata-containers/configuration.toml");
    root.write("etc/kata-containers/configuration.toml", on);
    EXPECT_EQ(found(""), "etc/kata-containers/configuration.toml");
    root.write("opt/mine.toml", on);
    EXPECT_EQ(found("/opt/mine.toml"), "opt/mine.toml");
    EXPECT_EQ(
        root.relative(thrown([&] { config::find(root.path(), "/opt/other.toml"); })),
        "config_invalid: KATA_CONF_FILE names 'opt/other.toml', which does not exist; correct "
        "or unset KATA_CONF_FILE");
}

TEST(Find, ALinkToNowhereIsNotPassedOver) {
    Scratch root;
    root.write("usr/share/defaults/kata-containers/configuration.toml", on);
    fs::create_directories(root.path() / "etc/kata-containers");
    fs::create_symlink("gone", root.path() / "etc/kata-containers/configuration.toml");
    EXPECT_EQ(root.relative(config::find(root.path(), nullptr).string()),
              "etc/kata-containers/configuration.toml");
}
