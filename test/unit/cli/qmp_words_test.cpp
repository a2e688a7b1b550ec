// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_words.hpp"

#include "config/base/failure.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;

std::string command(const std::string& line) {
    const auto parsed = qmp_line(line);
    return parsed ? parsed->name + " " + json::serialize(parsed->arguments) : "none";
}

std::string refusal(const std::string& line) {
    try {
        (void)qmp_line(line);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::invalid_argument);
        return failure.problem();
    }
    return "accepted";
}

TEST(QmpWords, ValuesAreJsonWhereTheyCanBe) {
    EXPECT_EQ(command("a"), "a {}");
    EXPECT_EQ(command("a n=5 f=-1.5 t=true u=null s=text q=\"5\" l=[1,2] o={\"x\":1}"),
              R"(a {"n":5,"f":-1.5E0,"t":true,"u":null,"s":"text","q":"5","l":[1,2],"o":{"x":1}})");
    EXPECT_EQ(command("a e= path=/machine/x[0] eq=a=b"),
              R"(a {"e":"","path":"/machine/x[0]","eq":"a=b"})");
}

TEST(QmpWords, DotsGoIntoObjects) {
    EXPECT_EQ(command("blockdev-add node-name=d file.driver=file file.filename=/x"),
              R"(blockdev-add {"node-name":"d","file":{"driver":"file","filename":"/x"}})");
    EXPECT_EQ(refusal("a b=1 b.c=2"), "'b.c' in 'b.c=2' is given twice");
    EXPECT_EQ(refusal("a b=1 b=2"), "'b' in 'b=2' is given twice");
    EXPECT_EQ(refusal("a .b=1"), "'.b=1' has an empty name");
}

TEST(QmpWords, QuotesAndWhiteSpace) {
    EXPECT_EQ(command("  a\tx='b c'   y=\"d \\\" e\"  "), R"(a {"x":"b c","y":"d \" e"})");
    EXPECT_EQ(command(R"(qom-get {"path": "/machine", "property": "it's"})"),
              R"(qom-get {"path":"/machine","property":"it's"})");
    EXPECT_EQ(refusal("a x='b"), "a quote (') is not closed");
    EXPECT_EQ(refusal("a {\"x\": 1"), "a bracket is not closed");
}

TEST(QmpWords, AWholeMessageIsACommand) {
    EXPECT_EQ(command(R"({"execute": "a", "arguments": {"x": 1}, "id": 7})"), R"(a {"x":1})");
    EXPECT_EQ(refusal("{\"exec\": \"a\"}"), R"('{"exec": "a"}' is no QMP command)");
    EXPECT_EQ(refusal("{'execute': 'a'}"), "'{'execute': 'a'}' begins as JSON, but is none");
}

TEST(QmpWords, NothingAndComments) {
    EXPECT_EQ(command(""), "none");
    EXPECT_EQ(command("  # query-status"), "none");
    EXPECT_EQ(refusal("a b"), "'b' is no argument");
    EXPECT_EQ(refusal("a {1}"), "'{1}' begins as JSON, but is none");
}

} // namespace
} // namespace kata_vfio::cli
