// SPDX-License-Identifier: Apache-2.0
// Completion and manual page, of the real command's own --help.
#include "command.hpp"
#include "runtime-plugin/cli/command_line.hpp"
#include "runtime-plugin/cli/help/completion.hpp"
#include "runtime-plugin/cli/help/man_page.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace kata_vfio::cli {
namespace {

std::vector<std::string> asked;

/// The candidates' words; what was asked of the host is in `asked`, and answered with one word.
std::vector<std::string> candidates(const std::vector<std::string>& words, bool* files = nullptr) {
    asked.clear();
    const auto found = complete(command_help(), words, [](const std::string& kind) {
        asked.push_back(kind);
        return std::vector<Candidate>{{"some-" + kind, ""}};
    });
    if (files)
        *files = found.files;
    std::vector<std::string> out;
    for (const auto& each : found.words)
        out.push_back(each.word);
    return out;
}

using Words = std::vector<std::string>;

TEST(Completion, VerbsAndTheirOwn) {
    EXPECT_EQ(candidates({"att"}), Words{"attach"});
    EXPECT_EQ(candidates({"sandbox", ""}), (Words{"open", "release"}));
    EXPECT_EQ(candidates({"--json", "det"}), Words{"detach"});
    EXPECT_EQ(candidates({"nothing-like-it"}), Words{});
}

TEST(Completion, OperandsInTheirOrder) {
    EXPECT_EQ(candidates({"attach", ""}), Words{"some-ID"});
    EXPECT_EQ(candidates({"attach", "s1", ""}), Words{"some-DEVICE"});
    EXPECT_EQ(candidates({"attach", "s1", "x", ""}), Words{});
    EXPECT_EQ(candidates({"create", "some"}), Words{"some-TYPE"});
    EXPECT_EQ(candidates({"qmp", ""}), Words{"some-ID"});
    EXPECT_EQ(candidates({"qmp", "s1", ""}), Words{});
}

TEST(Completion, OptionsAndTheirValues) {
    EXPECT_EQ(candidates({"attach", "s1", "--ke"}), Words{"--keep"});
    // Those that stand anywhere.
    EXPECT_EQ(candidates({"attach", "s1", "--daem"}), Words{"--daemon"});
    bool files = false;
    EXPECT_EQ(candidates({"--daemon", "some"}), Words{"some-ADDRESS"});
    EXPECT_EQ(candidates({"--daemon=some"}), Words{"--daemon=some-ADDRESS"});
    (void)candidates({"sandbox", "open", "s1", "--qmp", "/run/"}, &files);
    EXPECT_TRUE(files);
    // A value is no operand.
    EXPECT_EQ(candidates({"attach", "--uuid", "x", ""}), Words{"some-ID"});
    // A hidden one is offered to nobody.
    EXPECT_EQ(candidates({"--roo"}), Words{});
    EXPECT_EQ(candidates({"attach", "--", "-"}), Words{});
    EXPECT_EQ(asked, Words{"ID"});
}

TEST(Completion, OfWhatTheHostHas) {
    fake::FakeRoot root;
    root.populate_gvt_host();
    const auto said = [&](Words words) {
        words.insert(words.begin(), {"__complete", "--", "--root", root.path().string()});
        return command(words).out;
    };
    EXPECT_EQ(said({"bind", ""}), "0000:00:02.0\tPCI function\n");
    EXPECT_EQ(said({"create", "i915-GVTg_V4_8"}), "i915-GVTg_V4_8\t7 left\n");
    EXPECT_EQ(said({"attach", "s1", "0000:00:02"}), "0000:00:02.0\tPCI function\n");
    // Nothing of a host that can't be read is a failure to somebody who types.
    EXPECT_EQ(command({"__complete", "--", "--root", "/nowhere", "attach", ""}).status, 0);
}

/// Every verb and option of --help is in the page, and nothing that is hidden.
TEST(ManPage, HasWhatHelpHas) {
    const auto page = man_page(command_help(), 1, "kata-vfio 1", "kata-vfiod(8)");
    const auto has = [&](const std::string& part) { return page.find(part) != std::string::npos; };
    for (const auto& verb : command_help().verbs) {
        if (verb.verbs.empty()) {
            EXPECT_TRUE(has(".SS kata\\-vfio " + verb.name)) << verb.name;
        }
        for (const auto& option : verb.options) {
            auto name = option.names.back();
            for (std::size_t at = 0; (at = name.find('-', at)) != name.npos; at += 2)
                name.replace(at, 1, "\\-");
            if (!option.asks_for_help()) {
                EXPECT_TRUE(has("\\fB" + name)) << verb.name << " " << name;
            }
        }
    }
    EXPECT_TRUE(has(".SH EXIT STATUS"));
    EXPECT_TRUE(has(".SH EXAMPLES"));
    EXPECT_FALSE(has("\\-\\-root"));
    // The same text from the command itself.
    EXPECT_TRUE(command({"--man"}).out.starts_with(".TH KATA\\-VFIO 1"));
}

TEST(ManPage, NoLineIsAMacroByChance) {
    CommandHelp help{"x", "Does.", {}, {}, {}, "Examples:\n  a\n.B no\n'nor this\n  \\back\n"};
    const auto page = man_page(help, 1, "x", "y(1)");
    EXPECT_NE(page.find("\n\\&.B no\n"), page.npos) << page;
    EXPECT_NE(page.find("\n\\&'nor this\n"), page.npos) << page;
    EXPECT_NE(page.find("\n  \\eback\n"), page.npos) << page;
}

} // namespace
} // namespace kata_vfio::cli
