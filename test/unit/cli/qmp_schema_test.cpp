// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_schema.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

// The shape of query-qmp-schema, cut down (types have numbers for names there).
const auto schema = QmpSchema(boost::json::parse(R"([
  {"name": "query-status", "meta-type": "command", "arg-type": "0", "ret-type": "9"},
  {"name": "query-stats", "meta-type": "command", "arg-type": "0", "ret-type": "9"},
  {"name": "blockdev-add", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
  {"name": "STOP", "meta-type": "event", "arg-type": "0"},
  {"name": "0", "meta-type": "object", "members": []},
  {"name": "1", "meta-type": "object", "tag": "driver",
   "members": [{"name": "driver", "type": "2"}, {"name": "read-only", "type": "bool"},
               {"name": "node-name", "type": "str"}],
   "variants": [{"case": "raw", "type": "3"}, {"case": "file", "type": "0"}]},
  {"name": "2", "meta-type": "enum", "values": ["file", "raw"]},
  {"name": "3", "meta-type": "object", "members": [{"name": "file", "type": "1"}]},
  {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
  {"name": "str", "meta-type": "builtin", "json-type": "string"}])"));

using All = std::vector<std::string>;

TEST(QmpSchema, Commands) {
    EXPECT_EQ(schema.completions("query-st"), (All{"query-stats", "query-status"}));
    EXPECT_EQ(schema.completions(""), (All{"blockdev-add", "query-stats", "query-status"}));
    EXPECT_EQ(schema.completions("STOP"), All{});
}

TEST(QmpSchema, ArgumentsThatAreNotThereYet) {
    EXPECT_EQ(schema.completions("blockdev-add "),
              (All{"driver=", "file=", "node-name=", "read-only="}));
    EXPECT_EQ(schema.completions("blockdev-add driver=raw n"), All{"node-name="});
    EXPECT_EQ(schema.completions("blockdev-add driver=raw d"), All{});
    EXPECT_EQ(schema.completions("blockdev-add file.file.r"), All{"file.file.read-only="});
    EXPECT_EQ(schema.completions("query-status "), All{});
    EXPECT_EQ(schema.completions("no-such "), All{});
}

TEST(QmpSchema, Values) {
    EXPECT_EQ(schema.completions("blockdev-add driver="), (All{"driver=file", "driver=raw"}));
    EXPECT_EQ(schema.completions("blockdev-add file.driver=r"), All{"file.driver=raw"});
    EXPECT_EQ(schema.completions("blockdev-add read-only=t"), All{"read-only=true"});
    EXPECT_EQ(schema.completions("blockdev-add node-name="), All{});
    EXPECT_EQ(schema.completions("blockdev-add no.such="), All{});
}

TEST(QmpSchema, AnythingElseIsNoSchema) {
    EXPECT_EQ(QmpSchema(boost::json::parse(R"({"a": [1]})")).completions("q"), All{});
    EXPECT_EQ(QmpSchema(boost::json::parse(R"([1, {"name": 5}, {"meta-type": "command"}])"))
                  .completions("q"),
              All{});
}

} // namespace
} // namespace kata_vfio::cli
