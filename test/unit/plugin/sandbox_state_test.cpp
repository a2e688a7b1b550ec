// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

Attachment vgpu() {
    Attachment attachment;
    attachment.id = "vfio-u";
    attachment.kind = Kind::mdev;
    attachment.device = "t@p";
    attachment.host_address = "0000:00:02.0";
    attachment.uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    attachment.mdev_type = "t";
    attachment.sysfsdev = "/sys/bus/mdev/devices/u";
    attachment.guest_address = "0000:00:0f.0";
    attachment.iommu_group = 0; // a group of number 0 is a group
    attachment.made_vgpu = true;
    return attachment;
}

Attachment function() {
    Attachment attachment;
    attachment.id = "vfio-0000.00.02.0";
    attachment.device = "/dev/vfio/1";
    attachment.host_address = "0000:00:02.0";
    attachment.sysfsdev = "/sys/bus/pci/devices/0000:00:02.0";
    attachment.guest_address = "0000:00:10.0";
    attachment.unplugged = true;
    vfio::BindRecord record;
    record.address = *vfio::PciAddress::parse("0000:00:02.0");
    record.earlier_override = "i915";
    record.changed = true;
    attachment.bound = record;
    attachment.lent = LentNode{1, 0, 64055, 12345678901};
    return attachment;
}

SandboxState state() {
    SandboxState state;
    state.id = "sb1";
    state.qmp_socket = "/run/x y/\"qmp\".sock";
    state.machine = "pc-i440fx-7.2";
    state.qemu_pid = 4711;
    state.qemu_start = ~std::uint64_t{0};
    state.annotations = {{"io.katacontainers.x", "ä\n\t\"'"}, {"", ""}};
    state.attachments = {vgpu(), function()};
    state.tainted = {"stop", "device_add"};
    state.due = {{"i915-GVTg_V4_8", true}, {"0000:00:02.0", false}};
    state.owner_pid = 4712;
    state.owner_start = 99;
    return state;
}

std::string written(const SandboxState& value) {
    return json::serialize(to_json(value));
}

TEST(SandboxState, RoundTrips) {
    TempDir directory;
    EXPECT_FALSE(load_state(directory.path()));
    EXPECT_FALSE(save_state(directory.path(), state()));
    const auto loaded = load_state(directory.path());
    ASSERT_TRUE(loaded);
    EXPECT_EQ(written(*loaded), written(state()));
    EXPECT_EQ(loaded->qemu_start, ~std::uint64_t{0});
    EXPECT_EQ(loaded->annotations, state().annotations);
    ASSERT_EQ(loaded->attachments.size(), 2u);
    EXPECT_EQ(loaded->attachments[0].kind, Kind::mdev);
    EXPECT_EQ(loaded->attachments[0].iommu_group, 0);
    EXPECT_FALSE(loaded->attachments[0].bound);
    EXPECT_EQ(loaded->attachments[1].kind, Kind::pci);
    EXPECT_EQ(loaded->attachments[1].iommu_group, std::nullopt);
    EXPECT_EQ(loaded->attachments[1].bound, function().bound);
    EXPECT_FALSE(loaded->attachments[0].lent);
    EXPECT_EQ(loaded->attachments[1].lent, function().lent);
    EXPECT_TRUE(loaded->attachments[1].unplugged);
    EXPECT_EQ(loaded->attachments[1].uuid, "");
    EXPECT_EQ(loaded->tainted, (std::vector<std::string>{"stop", "device_add"}));
}

TEST(SandboxState, OwnDevicesAndOwnerRoundTrip) {
    auto whole = state();
    whole.attachments[0].own = true;
    whole.attachments[0].keep = true;
    whole.attachments[0].prepared = true;
    whole.attachments[1].vf_of = "0000:01:00.0";
    const auto loaded = parse_state(written(whole), "f");
    EXPECT_EQ(loaded.due, whole.due);
    EXPECT_EQ(loaded.owner_pid, 4712);
    EXPECT_EQ(loaded.owner_start, 99u);
    EXPECT_TRUE(loaded.attachments[0].own);
    EXPECT_TRUE(loaded.attachments[0].keep);
    EXPECT_TRUE(loaded.attachments[0].prepared);
    EXPECT_FALSE(loaded.attachments[1].own || loaded.attachments[1].keep ||
                 loaded.attachments[1].prepared);
    EXPECT_EQ(loaded.attachments[1].vf_of, "0000:01:00.0");
    EXPECT_TRUE(loaded.has_own());
    EXPECT_FALSE(state().has_own());
    EXPECT_FALSE(whole.attachments[0].plugged());
    EXPECT_FALSE(whole.attachments[1].plugged()); // unplugged
}

TEST(SandboxState, AFileFromBeforeThereWereOwnDevicesIsRead) {
    auto old = to_json(state());
    for (const char* key : {"due", "owner_pid", "owner_start"})
        ASSERT_EQ(old.erase(key), 1u);
    for (auto& each : old["attachments"].as_array())
        for (const char* key : {"own", "keep", "prepared", "vf_of"})
            ASSERT_EQ(each.as_object().erase(key), 1u);
    const auto loaded = parse_state(json::serialize(old), "f");
    EXPECT_TRUE(loaded.due.empty());
    EXPECT_EQ(loaded.owner_pid, 0);
    EXPECT_FALSE(loaded.has_own());
}

TEST(SandboxState, AFileFromBeforeTheProxyIsRead) {
    auto old = to_json(state());
    ASSERT_EQ(old.erase("tainted"), 1u);
    EXPECT_TRUE(parse_state(json::serialize(old), "state.json").tainted.empty());
    old["tainted"] = "stop";
    EXPECT_THROW(parse_state(json::serialize(old), "state.json"), Failure);
}

TEST(SandboxState, TruncatedAtEveryByteIsCorrupt) {
    const auto whole = written(state());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto failure = failure_of(
            [&] { parse_state(std::string_view(whole).substr(0, size), "/x/state.json"); });
        ASSERT_EQ(failure.code(), Errc::state_corrupt) << size;
        EXPECT_EQ(failure.problem(), "/x/state.json is not a sandbox's state");
        EXPECT_THAT(failure.advice(), HasSubstr("it was left as it is"));
    }
}

TEST(SandboxState, AYoungerVersionIsNotGuessedAt) {
    auto object = to_json(state());
    object["version"] = 2;
    const auto failure = failure_of([&] { parse_state(json::serialize(object), "f"); });
    EXPECT_EQ(failure.code(), Errc::state_corrupt);
    EXPECT_EQ(failure.verbatim(), "version 2, but this kata-vfio writes version 1");
}

TEST(SandboxState, EveryMemberIsNeededAndTyped) {
    const auto whole = to_json(state());
    const auto corrupt = [](const json::object& object) {
        return failure_of([&] { parse_state(json::serialize(object), "f"); }).code() ==
               Errc::state_corrupt;
    };
    const json::array wrong_type{json::value(nullptr)};
    for (const auto& [key, value] : whole) {
        auto without = whole;
        without.erase(key);
        // Files of earlier versions have none of these, and no owner at all.
        if (key != "tainted" && key != "due" && key != "owner_pid") {
            EXPECT_TRUE(corrupt(without)) << key;
        }
        auto wrong = whole;
        wrong[key] = wrong_type;
        EXPECT_TRUE(corrupt(wrong)) << key;
    }
    for (const auto& [key, value] : whole.at("attachments").at(1).as_object()) {
        auto without = whole;
        without["attachments"].as_array()[1].as_object().erase(key);
        if (key != "own" && key != "keep" && key != "prepared" && key != "vf_of" && key != "lent") {
            EXPECT_TRUE(corrupt(without)) << key;
        }
        auto wrong = whole;
        wrong["attachments"].as_array()[1].as_object()[key] = wrong_type;
        EXPECT_TRUE(corrupt(wrong)) << key;
    }
    auto kind = whole;
    kind["attachments"].as_array()[0].as_object()["kind"] = "teapot";
    EXPECT_TRUE(corrupt(kind));
}

TEST(Attachment, AnswersToItsNames) {
    auto attachment = vgpu();
    attachment.iommu_group = 12;
    for (const auto* yes :
         {"t@p", "vfio-u", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "/dev/vfio/12"})
        EXPECT_TRUE(attachment.answers_to(yes)) << yes;
    // Not to its parent's address: that is another device, and may be attached as well.
    for (const auto* no : {"0000:00:02.0", "", "t", "/dev/vfio/1", "/dev/vfio/", "p"})
        EXPECT_FALSE(attachment.answers_to(no)) << no;
    attachment = function();
    for (const auto* yes : {"/dev/vfio/1", "vfio-0000.00.02.0", "0000:00:02.0"})
        EXPECT_TRUE(attachment.answers_to(yes)) << yes;
    EXPECT_FALSE(attachment.answers_to(""));
}

} // namespace
} // namespace kata_vfio::plugin
