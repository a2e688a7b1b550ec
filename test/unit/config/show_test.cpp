// SPDX-License-Identifier: Apache-2.0
#include "config/show.hpp"

#include "config/document.hpp"
#include "config/keys.hpp"
#include "config/reference.hpp"
#include "support.hpp"
#include "test/places/places.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

#include <set>

using namespace kata_vfio;
using namespace kata_vfio::config;
namespace json = boost::json;
using testing::HasSubstr;

namespace {

/// All values as TOML, to compare two configurations by.
std::string values(Configuration c) {
    std::string text;
    for (const auto& key : keys())
        text += key.dotted() + " = " + toml_literal(key.slot(c)) + "\n";
    return text;
}

} // namespace

TEST(Show, TellsEveryKeyAndItsOrigin) {
    auto c = load_text("[hypervisor.qemu]\nkernel = \"/k\"\nkernal = 1\n", "main.toml");
    std::vector<Problem> problems;
    merge(c, "[hypervisor.qemu]\nkernel = \"/l\"\n", "config.d/1", problems);
    const auto text = show_toml(c);
    EXPECT_THAT(text, testing::StartsWith(
                          "# read: main.toml\n# warning: main.toml:3:1 hypervisor.qemu.kernal: is "
                          "no known key (did you mean kernel?)\n\n[hypervisor.qemu]\npath = "));
    EXPECT_THAT(text, HasSubstr("\nkernel = \"/l\" # config.d/1:2:10, over main.toml:2:10\n"));
    EXPECT_THAT(text, HasSubstr("\nmachine_type = \"pc\" # default\n"));
    EXPECT_THAT(text, HasSubstr("\ndevice_add = 30000 # ms, default\n"));
    for (const auto& key : keys())
        EXPECT_THAT(text, HasSubstr(std::string("\n").append(key.name) + " = "));
}

TEST(Show, IsReadBackToTheSameValues) {
    for (const auto* text :
         {"", "[hypervisor.qemu]\nkernel_params = \"a\\\\b \\\"c\\\" \\t\\u00e9\\u0007\\n\"\n"
              "enable_annotations = [\"a.*\", \"\\\\d\"]\n[vfio]\nallowed_types = []\n"}) {
        const auto c = load_text(text, "a\nstate_dir = 'forged'");
        const auto again = load_text(show_toml(c), "again");
        EXPECT_EQ(values(again), values(c));
        EXPECT_TRUE(again.warnings.empty());
    }
}

TEST(Show, JsonHasValueUnitAndOrigin) {
    const auto c = load_text("[vfio]\nallowed_types = [\"x\"]\nodd = 1\n", "f");
    const auto all = show_json(c);
    EXPECT_EQ(all.at("files"), json::parse(R"(["f"])"));
    EXPECT_EQ(all.at("values").at("vfio").at("allowed_types"),
              json::parse(R"({"value":["x"],"unit":"","default":false,"file":"f","line":2,
                              "column":17})"));
    EXPECT_EQ(all.at("values").at("vfio.timeouts").at("query"),
              json::parse(R"({"value":5000,"unit":"ms","default":true})"));
    EXPECT_EQ(all.at("values").at("hypervisor.qemu").at("hotplug_vfio_on_root_bus").at("value"),
              json::value(false));
    EXPECT_EQ(all.at("warnings"), json::parse(R"([{"file":"f","line":3,"column":1,"key":"vfio.odd",
                               "text":"is no known key"}])"));
}

TEST(Show, FindingsAsJson) {
    const auto c = load_text("[hypervisor.qemu]\nhotplug_vfio_on_root_bus = false\n", "f");
    const auto rows = findings_json(validate(c)).as_array();
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].at("code"), json::value("root_bus_off"));
    EXPECT_EQ(rows[0].at("key"), json::value("hotplug_vfio_on_root_bus"));
    EXPECT_EQ(rows[0].at("line"), json::value(2));
    EXPECT_EQ(rows[0].at("column"), json::value(28));
    EXPECT_THAT(std::string(rows[0].at("text").as_string()), HasSubstr("is false"));
    EXPECT_THAT(std::string(rows[0].at("remedy").as_string()), HasSubstr("config enable"));
}

TEST(Schema, EveryKeyIsDocumentedUniqueAndItsDefaultIsInRange) {
    std::set<std::string> seen;
    std::set<const void*> slots;
    Configuration c;
    for (const auto& key : keys()) {
        EXPECT_TRUE(seen.insert(key.dotted()).second) << key.dotted();
        EXPECT_TRUE(
            slots.insert(std::visit([](auto* p) -> const void* { return p; }, key.slot(c))).second)
            << key.dotted() << " shares another key's place";
        EXPECT_FALSE(key.doc.empty()) << key.dotted();
        EXPECT_FALSE(key.since.empty()) << key.dotted();
        std::string text = "[";
        text.append(key.table).append("]\n").append(key.name).append(" = ");
        text += default_literal(key) + "\n";
        EXPECT_EQ(thrown([&] { load_text(text, "f"); }), "") << text;
    }
}

TEST(Schema, TheReferenceIsTheFileInDocs) {
    const auto file = std::filesystem::path(test::source_dir) / "docs/configuration.md";
    if (regenerate()) {
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << reference_markdown();
    }
    const auto text = slurp(file);
    EXPECT_EQ(text, reference_markdown()) << "run this test with KATA_VFIO_REGENERATE=1";
    Configuration fresh;
    for (const auto& key : keys()) {
        EXPECT_THAT(text, HasSubstr("\n## `[" + std::string(key.table) + "]`\n"));
        EXPECT_THAT(text, HasSubstr("\n| `" + std::string(key.name) + "` | `" +
                                    toml_literal(key.slot(fresh)) + "` | "));
        EXPECT_THAT(text, HasSubstr(std::string(key.doc)));
    }
}
