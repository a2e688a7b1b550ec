// SPDX-License-Identifier: Apache-2.0
#include "config/edit.hpp"

#include "config/load.hpp"
#include "support.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <iterator>
#include <random>

using namespace kata_vfio;
using namespace kata_vfio::config;
namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

constexpr auto table = "hypervisor.qemu";
constexpr auto key = "hotplug_vfio_on_root_bus";

Edit turned_on(std::string_view text) {
    return set_value_in(text, table, key, "true", "f");
}

/// Expects an edit of this kind that makes `after` of `before`, and that a second does nothing.
void expect_edit(std::string_view before, EditKind kind, std::string_view after) {
    const auto edit = turned_on(before);
    EXPECT_EQ(name(edit.kind), name(kind));
    EXPECT_EQ(edit.text, after);
    const auto again = turned_on(edit.text);
    EXPECT_EQ(name(again.kind), "none");
    EXPECT_EQ(again.text, edit.text);
    EXPECT_EQ(again.line, edit.line);
}

} // namespace

TEST(Edit, UncommentsTheStockLine) {
    expect_edit("[hypervisor.qemu]\n# on?\n#hotplug_vfio_on_root_bus = false # x\nkernel = '/k'\n",
                EditKind::uncommented,
                "[hypervisor.qemu]\n# on?\nhotplug_vfio_on_root_bus = true # x\nkernel = '/k'\n");
    EXPECT_EQ(
        turned_on("[hypervisor.qemu]\n#hotplug_vfio_on_root_bus = \"a # b\"\t# c # d\r\n").text,
        "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\t# c # d\r\n");
    EXPECT_EQ(turned_on("[hypervisor.qemu]\n#hotplug_vfio_on_root_bus = is off # c\n").text,
              "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n");
    EXPECT_EQ(turned_on("[hypervisor.qemu]\n# a\n  #\thotplug_vfio_on_root_bus=true").text,
              "[hypervisor.qemu]\n# a\n  hotplug_vfio_on_root_bus = true");
}

TEST(Edit, DoesToStockFilesWhatTheWalkthroughsSedDoes) {
    Scratch dir;
    for (const auto* name : {"kata-1.x.toml", "kata-2.1.toml"}) {
        const auto file = dir.write(name, slurp(fixtures / "good" / name));
        const auto expected = turned_on(slurp(file));
        EXPECT_EQ(expected.kind, EditKind::uncommented);
        const auto command =
            "sed -i -e 's/^# *\\(hotplug_vfio_on_root_bus\\).*=.*$/\\1 = true/g' " + file.string();
        ASSERT_EQ(std::system(command.c_str()), 0);
        EXPECT_EQ(expected.text, slurp(file));
        EXPECT_NE(expected.text, slurp(fixtures / "good" / name));
    }
}

TEST(Edit, ReplacesTheBytesOfTheValueAlone) {
    expect_edit("[hypervisor.qemu]\n\thotplug_vfio_on_root_bus=false# why\n", EditKind::changed,
                "[hypervisor.qemu]\n\thotplug_vfio_on_root_bus=true# why\n");
    expect_edit("[hypervisor.qemu]\nhotplug_vfio_on_root_bus = \"true\"\n", EditKind::changed,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n");
    expect_edit("[hypervisor]\nqemu = { kernel = '/\xC3\xA9', hotplug_vfio_on_root_bus = false }",
                EditKind::changed,
                "[hypervisor]\nqemu = { kernel = '/\xC3\xA9', hotplug_vfio_on_root_bus = true }");
    expect_edit("hypervisor.qemu.hotplug_vfio_on_root_bus = [\n 1 ] # x\n", EditKind::changed,
                "hypervisor.qemu.hotplug_vfio_on_root_bus = true # x\n");
}

TEST(Edit, InsertsIntoTheTable) {
    expect_edit("a = 1\n[hypervisor.qemu] # it\nkernel = '/k'\n\n[vfio]\n", EditKind::inserted,
                "a = 1\n[hypervisor.qemu] # it\nhotplug_vfio_on_root_bus = true\nkernel = "
                "'/k'\n\n[vfio]\n");
    expect_edit("[hypervisor.qemu]", EditKind::inserted,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true");
}

TEST(Edit, AppendsTheTable) {
    expect_edit("", EditKind::appended, "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n");
    expect_edit("[vfio]\nstate_dir = '/s'", EditKind::appended,
                "[vfio]\nstate_dir = '/s'\n\n[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n");
    // A table below it does not hold keys of its own.
    expect_edit("[hypervisor.qemu.factory]\nx = 1\n", EditKind::appended,
                "[hypervisor.qemu.factory]\nx = 1\n\n[hypervisor.qemu]\n"
                "hotplug_vfio_on_root_bus = true\n");
}

TEST(Edit, KeepsDosLineEndsAndTheByteOrderMark) {
    expect_edit("\xEF\xBB\xBF[hypervisor.qemu]\r\n# hotplug_vfio_on_root_bus = true\r\n",
                EditKind::uncommented,
                "\xEF\xBB\xBF[hypervisor.qemu]\r\nhotplug_vfio_on_root_bus = true\r\n");
    expect_edit("\xEF\xBB\xBF[hypervisor.qemu]\r\nkernel = '/k'\r\n", EditKind::inserted,
                "\xEF\xBB\xBF[hypervisor.qemu]\r\nhotplug_vfio_on_root_bus = true\r\n"
                "kernel = '/k'\r\n");
    expect_edit("[vfio]\r\n", EditKind::appended,
                "[vfio]\r\n\r\n[hypervisor.qemu]\r\nhotplug_vfio_on_root_bus = true\r\n");
    expect_edit("\xEF\xBB\xBFhypervisor.qemu.hotplug_vfio_on_root_bus = false", EditKind::changed,
                "\xEF\xBB\xBFhypervisor.qemu.hotplug_vfio_on_root_bus = true");
}

TEST(Edit, LeavesCommentsOfOtherTablesAndTextsThatLookLikeOne) {
    expect_edit("[hypervisor.clh]\n# hotplug_vfio_on_root_bus = true\n[hypervisor.qemu]\n"
                "# hotplug_vfio_on_root_bus = true\n",
                EditKind::uncommented,
                "[hypervisor.clh]\n# hotplug_vfio_on_root_bus = true\n[hypervisor.qemu]\n"
                "hotplug_vfio_on_root_bus = true\n");
    expect_edit("[hypervisor.qemu]\nkernel_params = '''\n# hotplug_vfio_on_root_bus = true\n'''\n",
                EditKind::inserted,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\nkernel_params = '''\n"
                "# hotplug_vfio_on_root_bus = true\n'''\n");
    expect_edit("[hypervisor.qemu]\nvalid_hypervisor_paths = [\n"
                "# hotplug_vfio_on_root_bus = true\n]\n",
                EditKind::inserted,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\nvalid_hypervisor_paths = [\n"
                "# hotplug_vfio_on_root_bus = true\n]\n");
    expect_edit("[hypervisor.qemu]\n# hotplug_vfio_on_root_bus: see = the manual\n",
                EditKind::inserted,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n"
                "# hotplug_vfio_on_root_bus: see = the manual\n");
    // Both would make a duplicate key; sed does that.
    expect_edit("[hypervisor.qemu]\n# hotplug_vfio_on_root_bus = true\n"
                "# hotplug_vfio_on_root_bus = false\n",
                EditKind::uncommented,
                "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\n"
                "# hotplug_vfio_on_root_bus = false\n");
}

TEST(Edit, RefusesWhatItCannotDoSafely) {
    EXPECT_EQ(thrown([] { turned_on("hypervisor = { qemu = { kernel = '/k' } }\n"); }),
              "config_invalid: f hotplug_vfio_on_root_bus: can't be set without rewriting "
              "[hypervisor.qemu], which is an inline table or made of dotted keys there; write "
              "hotplug_vfio_on_root_bus = true into it by hand");
    EXPECT_THAT(thrown([] { turned_on("hypervisor.qemu.kernel = '/k'\n"); }),
                HasSubstr("an inline table or made of dotted keys"));
    EXPECT_EQ(
        thrown([] { turned_on("hypervisor = 'qemu'\n"); }),
        "config_invalid: f hotplug_vfio_on_root_bus: can't be set, since [hypervisor.qemu] or "
        "what it lies in is no table there; correct the file by hand");
    EXPECT_THAT(thrown([] { turned_on("[hypervisor.qemu]\nx = \n"); }),
                StartsWith("config_invalid: f:2:5: not valid TOML: "));
}

TEST(Edit, AnyKeyAndLiteral) {
    EXPECT_EQ(set_value_in("[hypervisor.qemu]\nkernel = \"/old\" # k\n", table, "kernel",
                           "\"/new # \\u00e9\"")
                  .text,
              "[hypervisor.qemu]\nkernel = \"/new # \\u00e9\" # k\n");
    EXPECT_EQ(set_value_in("", "vfio.timeouts", "unplug", "1").text,
              "[vfio.timeouts]\nunplug = 1\n");
    EXPECT_THAT(thrown([] { set_value_in("", table, "kernel", "/unquoted"); }),
                StartsWith("config_invalid: the new value:1:10: not valid TOML"));
    EXPECT_THAT(thrown([] { set_value_in("", table, "kernel", "1\nmachine_type = 'q35'"); }),
                HasSubstr("must be one value"));
}

TEST(Edit, DamagedFilesAreRefusedOrEditedRightNeverMangled) {
    const auto stock = slurp(fixtures / "good" / "kata-2.1.toml");
    constexpr std::string_view pieces[] = {"\"",      "'''",  "[", "]",
                                           "\n",      "\r\n", "#", "=",
                                           "{",       "\xff", ".", "hotplug_vfio_on_root_bus",
                                           " = false"};
    std::mt19937 random(1); // the same damage in every run
    int refused = 0, edited = 0;
    for (int round = 0; round < 500; ++round) {
        auto text = stock;
        for (auto hits = random() % 3 + 1; hits > 0; --hits) {
            const auto at = random() % text.size();
            if (random() % 2 == 0)
                text.erase(at, random() % 40);
            else
                text.insert(at, pieces[random() % std::size(pieces)]);
        }
        try {
            const auto edit = turned_on(text);
            ++edited;
            ASSERT_EQ(turned_on(edit.text).kind, EditKind::none) << text;
        } catch (const Failure& failure) {
            ++refused;
            ASSERT_EQ(failure.code(), Errc::config_invalid) << text;
        }
    }
    EXPECT_GT(refused, 50);
    EXPECT_GT(edited, 50);
}

class EditFile : public testing::Test {
  protected:
    Scratch dir_;
};

TEST_F(EditFile, EnableReportsThePlaceAndWhatIsLeft) {
    const auto file = dir_.write("configuration.toml", "[hypervisor.qemu]\nmachine_type = \"q35\"\n"
                                                       "#hotplug_vfio_on_root_bus = true\n");
    ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
    const auto result = enable(file);
    EXPECT_EQ(result.edit.kind, EditKind::uncommented);
    EXPECT_EQ(dir_.relative(result.at.str()), "configuration.toml:3:28");
    ASSERT_EQ(result.left.size(), 1u);
    EXPECT_EQ(result.left[0].code, Errc::machine_refused);
    EXPECT_EQ(slurp(file), "[hypervisor.qemu]\nmachine_type = \"q35\"\n"
                           "hotplug_vfio_on_root_bus = true\n");
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(EditFile, EnableTwiceWritesOnce) {
    const auto file = dir_.write("configuration.toml", "");
    EXPECT_EQ(enable(file).edit.kind, EditKind::appended);
    struct stat first {
    }, second{};
    ASSERT_EQ(::stat(file.c_str(), &first), 0);
    const auto again = enable(file);
    ASSERT_EQ(::stat(file.c_str(), &second), 0);
    EXPECT_EQ(again.edit.kind, EditKind::none);
    EXPECT_TRUE(again.left.empty());
    EXPECT_EQ(first.st_ino, second.st_ino) << "the file was replaced";
}

TEST_F(EditFile, EnableNamesTheDropInThatTurnsItOff) {
    const auto file = dir_.write("configuration.toml", "");
    dir_.write("config.d/off", "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = false\n");
    const auto result = enable(file);
    EXPECT_EQ(dir_.relative(result.at.str()), "configuration.toml:2:28");
    ASSERT_EQ(result.left.size(), 1u);
    EXPECT_EQ(dir_.relative(result.left[0].at.str()), "config.d/off:2:28");
}

TEST_F(EditFile, NothingIsWrittenThatDoesNotLoad) {
    constexpr auto text = "[hypervisor.qemu]\ndefault_memory = \"2G\"\n";
    const auto file = dir_.write("configuration.toml", text);
    EXPECT_THAT(dir_.relative(thrown([&] { enable(file); })),
                StartsWith("config_invalid: configuration.toml:2:18 default_memory: "));
    EXPECT_THAT(thrown([&] { set_value(file, table, "default_memory", "true"); }),
                HasSubstr("must be a whole number (MiB), is true"));
    EXPECT_EQ(slurp(file), text);
    EXPECT_EQ(set_value(file, table, "default_memory", "2048").kind, EditKind::changed)
        << "a wrong value can be put right";
    dir_.write("config.d/broken", "=");
    EXPECT_NE(thrown([&] { enable(file); }), "");
    EXPECT_EQ(slurp(file), "[hypervisor.qemu]\ndefault_memory = 2048\n");
    EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 2) << "a temporary is left";
}

TEST_F(EditFile, ALinkIsFollowedNotReplaced) {
    const auto real = dir_.write("real.toml", "[hypervisor.qemu]\n");
    fs::create_symlink("real.toml", dir_.path() / "link.toml");
    enable(dir_.path() / "link.toml");
    EXPECT_TRUE(fs::is_symlink(dir_.path() / "link.toml"));
    EXPECT_THAT(slurp(real), EndsWith("hotplug_vfio_on_root_bus = true\n"));
}

TEST_F(EditFile, WhatIsNoFileIsRefused) {
    EXPECT_THAT(thrown([&] { enable(dir_.path()); }), HasSubstr("is a directory, not a file"));
    EXPECT_THAT(thrown([&] { enable(dir_.path() / "none"); }),
                HasSubstr("No such file or directory"));
}
