// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/table.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace kata_vfio::cli {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoWhiteSpaceAtTheEnd) {
    Table table({"A", "LONGER", "C"});
    EXPECT_TRUE(table.empty());
    EXPECT_EQ(table.str(), "none\n");
    table.row({"wide cell", "x", "last"});
    table.row({"y", "", ""});
    EXPECT_FALSE(table.empty());
    EXPECT_EQ(table.str(), "A          LONGER  C\n"
                           "wide cell  x       last\n"
                           "y          -       -\n");
}

TEST(Table, CountsCharactersNotBytes) {
    Table table({"A", "B"});
    table.row({"größe", "1"});
    table.row({"12345", "2"});
    EXPECT_EQ(table.str(), "A      B\ngröße  1\n12345  2\n");
}

TEST(Table, ForeignTextCantMoveTheCursorOrForgeALine) {
    Table table({"A"});
    table.row({"x\ny\033[2J\t"});
    EXPECT_EQ(table.str(), "A\nx?y?[2J?\n");
}

TEST(Table, ARowOfTheWrongLengthIsAFault) {
    Table table({"A", "B"});
    EXPECT_THROW(table.row({"only one"}), std::invalid_argument);
}

TEST(Table, Properties) {
    EXPECT_EQ(properties({{"uuid", "1"}, {"iommu", ""}}), "uuid   1\niommu  -\n");
}

} // namespace
} // namespace kata_vfio::cli
