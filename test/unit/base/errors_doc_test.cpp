// SPDX-License-Identifier: Apache-2.0
#include "config/base/errc.hpp"
#include "config/base/file.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio;

TEST(ErrorsDoc, HasARowForEachCodeAndNoOther) {
    const auto text = read_file(std::string(test::source_dir) + "/docs/errors.md");
    ASSERT_TRUE(text.has_value());
    std::size_t rows = 0;
    for (auto at = text->find("\n| "); at != std::string::npos; at = text->find("\n| ", at + 1))
        rows += std::isdigit(static_cast<unsigned char>((*text)[at + 3])) != 0 &&
                text->compare(at + 6, 4, " | `") == 0;
    EXPECT_EQ(rows, static_cast<std::size_t>(errc_end() - errc_begin()) - 1);
    for (const auto* row = errc_begin() + 1; row != errc_end(); ++row) {
        const auto wanted = "\n| " + std::to_string(static_cast<int>(row->code)) + " | `" +
                            std::string(row->name) + "` | " + std::string(row->meaning) + " | ";
        EXPECT_NE(text->find(wanted), std::string::npos) << wanted;
    }
}
