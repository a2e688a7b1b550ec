// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio;

TEST(Text, TrimsWhatSysfsEndsWith) {
    EXPECT_EQ(trim("0x8086\n"), "0x8086");
    EXPECT_EQ(trim(" \t\n"), "");
    EXPECT_EQ(trim(""), "");
}

TEST(Text, SplitKeepsEmptyPieces) {
    EXPECT_EQ(split("a,,b", ',').size(), 3u);
    EXPECT_EQ(split("", ',').size(), 1u);
}

TEST(Text, QuotedCannotForgeALine) {
    EXPECT_EQ(quoted(std::string_view("a\nb\x1b[31m")), "'a\\x0ab\\x1b[31m'");
    EXPECT_EQ(quoted(std::string(200, 'x'), 4), "'xxxx...'");
}

TEST(Text, NearestFindsSwapsAndRefusesStrangers) {
    const std::vector<std::string> keys{"machine_type", "hotplug_vfio_on_root_bus"};
    EXPECT_EQ(nearest("hotplug_vfio_on_rootbus", keys), "hotplug_vfio_on_root_bus");
    EXPECT_EQ(nearest("machien_type", keys), "machine_type");
    EXPECT_EQ(nearest("kernel", keys), "");
    EXPECT_EQ(nearest("", keys), "");
}

// The table of distances to this one would take gigabytes.
TEST(Text, NearestDoesNotMeasureWhatIsFarTooLong) {
    const std::string endless(std::size_t{1} << 26, 'x');
    EXPECT_EQ(nearest(endless, {"machine_type", std::string()}), "");
    EXPECT_EQ(nearest("abcdef", {"abcdefghi"}), "abcdefghi"); // just a third of the longer one
}

TEST(Text, JoinsWordsAsASentenceDoes) {
    EXPECT_EQ(join_words({}), "");
    EXPECT_EQ(join_words({"a"}), "a");
    EXPECT_EQ(join_words({"a", "b", "c"}, " or "), "a, b or c");
}
