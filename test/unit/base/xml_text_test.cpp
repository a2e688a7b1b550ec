// SPDX-License-Identifier: Apache-2.0
#include "config/base/xml_text.hpp"

#include <gtest/gtest.h>

namespace kata_vfio {
namespace {

TEST(XmlText, EscapesWhatXmlReads) {
    EXPECT_EQ(xml_escaped("a<b>&\"c'\n\t"), "a&lt;b&gt;&amp;&quot;c&apos;\n\t");
    EXPECT_EQ(xml_escaped("]]>"), "]]&gt;");
    EXPECT_EQ(xml_escaped("\u00e9\u4e2d"), "\u00e9\u4e2d");
}

TEST(XmlText, WhatXmlCannotHoldIsReplaced) {
    const std::string bad = "\xef\xbf\xbd";
    EXPECT_EQ(xml_escaped(std::string_view("a\0b\x1b[2J\r", 8)),
              "a" + bad + "b" + bad + "[2J" + bad);
    EXPECT_EQ(xml_escaped("x\xff"), "x" + bad);
    EXPECT_EQ(xml_escaped("\xef\xbf\xbe|\xef\xbf\xbf"), bad + "|" + bad);
}

} // namespace
} // namespace kata_vfio
