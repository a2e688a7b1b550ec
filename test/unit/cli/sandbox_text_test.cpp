// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/sandbox_text.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) {
    return json::parse(text).as_object();
}

const auto vgpu = R"({"id": "vfio-u1", "kind": "mdev", "device": "i915-GVTg_V4_8",
    "host_address": "0000:00:02.0", "uuid": "u1", "mdev_type": "i915-GVTg_V4_8",
    "sysfsdev": "/sys/bus/mdev/devices/u1", "guest_address": "0000:00:05.0", "iommu_group": 9,
    "unplugged": false, "sandbox": "s1", "owned": true})";
const auto function = R"({"id": "vfio-f", "kind": "pci", "device": "/dev/vfio/1",
    "host_address": "0000:00:02.0", "uuid": null, "mdev_type": null, "sysfsdev": "/sys/x",
    "guest_address": "0000:00:0f.0", "iommu_group": 1, "unplugged": false, "sandbox": "s1",
    "owned": false})";

std::string with(const char* key, const std::string& rows) {
    return R"({"sandbox": "s1", ")" + std::string(key) + "\": [" + rows + "]}";
}

TEST(SandboxText, AttachHasUuidAndGuestAddressOnTop) {
    const auto made = with_first_attachment(parse(with("attachments", vgpu)));
    EXPECT_EQ(made.at("uuid"), "u1");
    EXPECT_EQ(made.at("guest_address"), "0000:00:05.0");
    EXPECT_EQ(made.at("attachments").as_array().size(), 1u);

    const auto bound =
        with_first_attachment(parse(with("attachments", std::string(function) + "," + vgpu)));
    EXPECT_TRUE(bound.at("uuid").is_null()) << "the first attachment's, a function's";
    EXPECT_EQ(bound.at("guest_address"), "0000:00:0f.0");

    const auto none = with_first_attachment(parse(with("attachments", "")));
    EXPECT_TRUE(none.at("uuid").is_null());
    EXPECT_TRUE(none.at("guest_address").is_null());
}

TEST(SandboxText, AttachTable) {
    EXPECT_EQ(attach_text(parse(with("attachments", std::string(function) + "," + vgpu))),
              "GUEST ADDRESS  ID       HOST DEVICE   VGPU UUID  TYPE            GROUP  OWNED\n"
              "0000:00:0f.0   vfio-f   0000:00:02.0  -          -               1      no\n"
              "0000:00:05.0   vfio-u1  0000:00:02.0  u1         i915-GVTg_V4_8  9      yes\n");
}

TEST(SandboxText, DryRunShowsStepsAndQmpToTheByte) {
    const auto text = dry_run_text(parse(R"({"sandbox": "s1", "dry_run": true, "attachments": [],
        "steps": [{"step": "claim", "text": "claim mdev-u1"},
                  {"step": "plug", "text": "plug vfio-u1 into pci.0",
                   "qmp": {"execute": "device_add", "arguments": {"driver": "vfio-pci"}}}]})"));
    EXPECT_EQ(text, "sandbox s1: nothing was changed; attach would\n"
                    "  1. claim mdev-u1\n"
                    "  2. plug vfio-u1 into pci.0\n"
                    "     {\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\"}}\n");
}

TEST(SandboxText, DetachAndRelease) {
    EXPECT_EQ(detach_text(parse(with("detached", vgpu))),
              "detached vGPU u1 from guest address 0000:00:05.0\n");
    EXPECT_EQ(release_text(parse(with("detached", function))),
              "detached 0000:00:02.0 from guest address 0000:00:0f.0\nreleased sandbox s1\n");
}

TEST(SandboxText, ListHasEmptySandboxesAndUnpluggedDevices) {
    auto listed = parse(R"({"sandboxes": [
        {"sandbox": "empty", "qmp_socket": "/q", "machine": "pc-i440fx-7.2", "attachments": []},
        {"sandbox": "s1", "qmp_socket": "/q", "machine": "pc-i440fx-7.2", "attachments": []}]})");
    auto gone = parse(vgpu);
    gone["unplugged"] = true;
    listed["sandboxes"].as_array()[1].as_object()["attachments"] = json::array{gone};
    EXPECT_EQ(
        list_text(listed),
        "SANDBOX  MACHINE        GUEST ADDRESS  ID       HOST DEVICE   VGPU UUID  TYPE        "
        "    GROUP  OWNED\n"
        "empty    pc-i440fx-7.2  -              -        -             -          -           "
        "    -      -\n"
        "s1       pc-i440fx-7.2  (unplugged)    vfio-u1  0000:00:02.0  u1         "
        "i915-GVTg_V4_8  9      yes\n");
}

TEST(SandboxText, ListTellsOfTaintedSandboxes) {
    const auto text = list_text(parse(R"({"sandboxes": [
        {"sandbox": "s1", "machine": "m", "attachments": [], "tainted": []},
        {"sandbox": "s2", "machine": "m", "attachments": [], "tainted": ["stop", "cont", "a\u001b"]}]})"));
    EXPECT_TRUE(
        text.ends_with("sandbox s2 is tainted: its QMP proxy has passed stop, cont and a?\n"))
        << text;
    EXPECT_EQ(text.find("s1 is tainted"), text.npos);
}

TEST(SandboxText, Open) {
    EXPECT_EQ(open_text(parse(R"({"sandbox": "s1", "qmp_socket": "/q.sock",
                                  "machine": "pc-i440fx-7.2", "attachments": []})")),
              "sandbox      s1\nmachine      pc-i440fx-7.2\nqmp socket   /q.sock\n"
              "attachments  0\n");
}

} // namespace
} // namespace kata_vfio::cli
