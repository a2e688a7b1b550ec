// SPDX-License-Identifier: Apache-2.0
// topology, whole: the command on a fake host, with a sandbox on a simulated pc machine; and what
// it makes of listings that do not fit together.
#include "command_world.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/cli/topology/topology.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

constexpr auto gpu = "0000:00:02.0";
constexpr auto type = "i915-GVTg_V4_8";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

struct TopologyVerb : SandboxWorld {
    TopologyVerb() {
        populate_more();
        play();
    }
    void attach_a_vgpu_and_a_function() const {
        open();
        ok({"attach", "s1", type, "--uuid", uuid});
        ok({"attach", "s1", "0000:00:03.0"});
    }
};

TEST_F(TopologyVerb, JoinsGpuGroupVgpuSandboxAndSlot) {
    attach_a_vgpu_and_a_function();
    const auto made = ok({"topology"});
    const auto& functions = made.at("functions").as_array();
    ASSERT_EQ(functions.size(), 2u);
    EXPECT_EQ(functions[0].at("address"), gpu);
    EXPECT_EQ(functions[0].at("iommu_group"), 1);
    EXPECT_TRUE(functions[0].at("attachment").is_null());
    EXPECT_EQ(functions[0].at("types").as_array().size(), 4u);
    const auto& vgpu = functions[0].at("vgpus").at(0).as_object();
    EXPECT_EQ(vgpu.at("uuid"), uuid);
    EXPECT_EQ(vgpu.at("attachment").at("sandbox"), "s1");
    EXPECT_EQ(vgpu.at("attachment").at("state"), "plugged");
    EXPECT_EQ(functions[1].at("address"), "0000:00:03.0") << "no GPU, but in a sandbox";
    EXPECT_EQ(functions[1].at("attachment").at("sandbox"), "s1");

    EXPECT_EQ(made.at("parents").at(0).at("parent"), "mtty");
    const auto& sandbox = made.at("sandboxes").at(0).as_object();
    EXPECT_EQ(sandbox.at("sandbox"), "s1");
    EXPECT_EQ(sandbox.at("machine"), "pc-i440fx-7.2");
    ASSERT_EQ(sandbox.at("slots").as_array().size(), 2u);
    EXPECT_EQ(sandbox.at("slots").at(0).at("slot"), vgpu.at("attachment").at("slot"));
    EXPECT_EQ(sandbox.at("slots").at(0).at("devices").at(0).at("uuid"), uuid);
    EXPECT_EQ(sandbox.at("slots").at(1).at("devices").at(0).at("host_address"), "0000:00:03.0");
    EXPECT_EQ(sandbox.at("unplaced"), json::array());

    // The slots are those that the list has.
    const auto listed = ok({"list", "s1"});
    EXPECT_EQ(vgpu.at("attachment").at("guest_address"),
              listed.at("sandboxes").at(0).at("attachments").at(0).at("guest_address"));
}

TEST_F(TopologyVerb, WithoutSandboxesOnlyWhatMatters) {
    const auto made = ok({"topology"});
    ASSERT_EQ(made.at("functions").as_array().size(), 1u);
    EXPECT_EQ(made.at("sandboxes"), json::array());
    EXPECT_GT(ok({"topology", "--all"}).at("functions").as_array().size(), 1u);
    const auto text = run({"topology"}).out;
    EXPECT_THAT(text, HasSubstr("0000:00:02.0  8086:1616, class 0300, i915\n"
                                "  IOMMU group 1\n"
                                "  vGPUs that can be made: i915-GVTg_V4_1 0, i915-GVTg_V4_2 1, "
                                "i915-GVTg_V4_4 3, i915-GVTg_V4_8 7\n"));
    EXPECT_THAT(text, HasSubstr("mtty  no PCI function\n"));
    EXPECT_THAT(text, Not(HasSubstr("sandbox")));
}

TEST_F(TopologyVerb, TextNamesBothEnds) {
    attach_a_vgpu_and_a_function();
    const auto address = std::string(ok({"list", "s1"})
                                         .at("sandboxes")
                                         .at(0)
                                         .at("attachments")
                                         .at(0)
                                         .at("guest_address")
                                         .as_string());
    const auto slot = address.substr(8, 2);
    const auto text = run({"topology"}).out;
    EXPECT_THAT(text, HasSubstr("  vGPU " + std::string(uuid) + ", i915-GVTg_V4_8, IOMMU group "));
    EXPECT_THAT(text, HasSubstr("    in sandbox s1, slot " + slot + " (" + address + ")\n"));
    EXPECT_THAT(text, HasSubstr("sandbox s1  pc-i440fx-7.2\n  pci.0 slot " + slot + ".0  vGPU " +
                                std::string(uuid) + ", i915-GVTg_V4_8 of 0000:00:02.0\n"));
}

TEST_F(TopologyVerb, GroupsAndTheirBlockers) {
    root.populate_function(
        {.address = "0000:00:02.1", .class_code = 0x040300, .driver = "snd_hda_intel", .group = 1});
    EXPECT_THAT(run({"topology"}).out,
                HasSubstr("  IOMMU group 1, with 0000:00:02.1, blocked: 0000:00:02.1 is bound to "
                          "snd_hda_intel\n"));
    EXPECT_EQ(ok({"topology"}).at("functions").at(0).at("siblings"), json::array{"0000:00:02.1"});
}

TEST_F(TopologyVerb, DrawsItAsSvg) {
    attach_a_vgpu_and_a_function();
    const auto file = root.at("/host.svg").string();
    const auto done = ok({"topology", "--svg", file});
    EXPECT_EQ(done.at("svg"), json::string(file));
    const auto svg = read_file(file).value();
    EXPECT_EQ(done.at("bytes"), svg.size());
    EXPECT_THAT(svg, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
    for (const auto* text : {"0000:00:02.0  8086:1616", uuid, "s1  pc-i440fx-7.2", "mtty", "slot "})
        EXPECT_THAT(svg, HasSubstr(text));
    // Two devices in slots and one vGPU beside its GPU.
    std::size_t lines = 0;
    for (auto at = svg.find("<path "); at != std::string::npos; at = svg.find("<path ", at + 1))
        ++lines;
    EXPECT_EQ(lines, 3u);
    EXPECT_THAT(run({"topology", "--svg", file}).out, "wrote " + file + "\n");
}

TEST_F(TopologyVerb, AnSvgThatCannotBeWritten) {
    const auto done = run({"topology", "--svg", root.at("/nowhere/host.svg").string()});
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.err, HasSubstr("nowhere"));
    EXPECT_EQ(run({"topology", "--svg", ""}).status, 2);
    EXPECT_EQ(run({"topology", "s1"}).status, 2);
}

// --- listings as they can meet: taken one behind the other, while others change the host

json::object attachment(const char* host, const char* device_uuid, const char* guest) {
    return {{"id", "vfio-x"},         {"kind", *device_uuid ? "mdev" : "pci"},
            {"host_address", host},   {"uuid", *device_uuid ? json::value(device_uuid) : nullptr},
            {"mdev_type", nullptr},   {"guest_address", guest},
            {"iommu_group", nullptr}, {"prepared", !*guest},
            {"unplugged", false},     {"vf_of", nullptr}};
}

TopologySources sources(json::array attachments) {
    TopologySources made;
    made.functions = {{"functions", json::array()}};
    made.types = {{"types", json::array()}};
    made.vgpus = {{"vgpus", json::array()}};
    made.sandboxes = {
        {"sandboxes", json::array{json::object{{"sandbox", "s<1>"},
                                               {"machine", "pc"},
                                               {"owner_pid", nullptr},
                                               {"attachments", std::move(attachments)}}}},
        {"unreadable", json::array{json::object{{"sandbox", "s9"}, {"error", json::object()}}}}};
    return made;
}

TEST(Topology, AnAttachmentWhoseDeviceIsNotListed) {
    const auto made =
        join_topology(sources({attachment("0000:00:02.0", uuid, "0000:00:05.0")}), false);
    const auto text = topology_text(made);
    EXPECT_THAT(text, HasSubstr("pci.0 slot 05.0  vGPU " + std::string(uuid) + " of 0000:00:02.0"));
    EXPECT_THAT(text, HasSubstr("sandbox s9  its state can't be read"));
    const auto svg = topology_svg(made);
    EXPECT_THAT(svg, HasSubstr("s&lt;1&gt;"));
    EXPECT_THAT(svg, Not(HasSubstr("<path"))) << "nothing to draw a line from";
}

TEST(Topology, FunctionsOfOneSlotStandTogether) {
    const auto made = join_topology(sources({attachment("0000:01:00.1", "", "0000:00:1f.1"),
                                             attachment("0000:01:00.0", "", "0000:00:1f.0"),
                                             attachment("0000:02:00.0", "", "")}),
                                    false);
    const auto& sandbox = made.at("sandboxes").at(0).as_object();
    ASSERT_EQ(sandbox.at("slots").as_array().size(), 1u);
    EXPECT_EQ(sandbox.at("slots").at(0).at("slot"), 31);
    EXPECT_EQ(sandbox.at("slots").at(0).at("devices").as_array().size(), 2u);
    EXPECT_EQ(sandbox.at("unplaced").at(0).at("state"), "waits");
    EXPECT_THAT(topology_text(made), HasSubstr("waits for the guest's start  0000:02:00.0\n"));
}

TEST(Topology, SandboxesThatMayNotBeRead) {
    std::ostringstream out, err;
    Io io{out, err};
    int asked = 0;
    const auto made = topology({}, io, [&](const Arguments& each, Io& inner) -> json::object {
        ++asked;
        if (each.verb == Verb::list)
            throw Failure(Errc::permission_denied, "/run/kata-vfio can't be read");
        if (each.verb == Verb::gpus || each.verb == Verb::vgpus)
            inner.err << "kata-vfio: which sandbox has what is not shown\n";
        return {};
    });
    EXPECT_EQ(asked, 4);
    EXPECT_TRUE(made.at("sandboxes").is_null());
    EXPECT_EQ(err.str(), "kata-vfio: which sandbox has what is not shown\n"
                         "kata-vfio: the sandboxes are not shown: /run/kata-vfio can't be read\n");
    EXPECT_THAT(topology_svg(made), HasSubstr("none"));
    EXPECT_THROW(topology({}, io,
                          [](const Arguments&, Io&) -> json::object {
                              throw Failure(Errc::host_io, "sysfs");
                          }),
                 Failure);
}

TEST(Topology, NamesOfAnyBytesStayWellFormed) {
    auto given = sources({});
    given.functions = {
        {"functions", json::array{json::object{{"address", "0000:00:02.0"},
                                               {"ids", "8086:1616"},
                                               {"class", "0300"},
                                               {"driver", "a\x1b[2J<&\xff" + std::string(80, 'x')},
                                               {"blockers", json::array()},
                                               {"iommu_group", nullptr}}}}};
    const auto svg = topology_svg(join_topology(given, false));
    EXPECT_THAT(svg, Not(HasSubstr("\x1b")));
    EXPECT_THAT(svg, Not(HasSubstr("\xff")));
    EXPECT_THAT(svg, HasSubstr("a?[2J&lt;&amp;"));
    EXPECT_THAT(svg, HasSubstr("\u2026</text>")) << "cut where the box ends";
}

} // namespace
} // namespace kata_vfio::cli
