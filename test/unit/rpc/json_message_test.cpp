// SPDX-License-Identifier: Apache-2.0
#include "kata_vfio/v1/devices.pb.h"
#include "kata_vfio/v1/host.pb.h"
#include "kata_vfio/v1/sandboxes.pb.h"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace kata_vfio::rpc {
namespace {

namespace json = boost::json;

/// The object, through the message and back.
template <class Message>
json::object there_and_back(const json::object& object) {
    Message message;
    std::vector<std::string> unknown;
    fill(message, object, &unknown);
    EXPECT_EQ(unknown, std::vector<std::string>{});
    Message again;
    std::string bytes;
    EXPECT_TRUE(message.SerializeToString(&bytes));
    EXPECT_TRUE(again.ParseFromString(bytes));
    return to_json(again);
}

template <class Message>
void expect_the_same(std::string_view text) {
    const auto object = json::parse(text).as_object();
    const auto back = there_and_back<Message>(object);
    EXPECT_EQ(json::value(object), json::value(back)) << json::serialize(object) << "\n"
                                                      << json::serialize(back);
}

constexpr auto vgpu_attachment =
    R"({"id":"vfio-bbc4aafe","kind":"mdev","device":"i915-GVTg_V4_8","host_address":"0000:00:02.0",
        "uuid":"bbc4aafe-5807-11e8-a43e-03533cceae7d","mdev_type":"i915-GVTg_V4_8",
        "sysfsdev":"/sys/bus/mdev/devices/bbc4","guest_address":"0000:00:05.0","iommu_group":null,
        "pending":{"pid":4711,"start":81723,"command":"qemu-system-x86"},"owned":true,
        "unplugged":false,"sandbox":"s1","own":false,"prepared":false,
        "keep":true,"vf_of":null})";

TEST(JsonMessage, AnAttachmentWithWhatIsNull) {
    expect_the_same<v1::Attachment>(vgpu_attachment);
    expect_the_same<v1::Attachment>(
        R"({"id":"vfio-0000.00.02.0","kind":"pci","device":"/dev/vfio/1",
            "host_address":"0000:00:02.0","uuid":null,"mdev_type":null,"sysfsdev":"/sys/x",
            "guest_address":"","iommu_group":0,"pending":null,"owned":false,"unplugged":true,
            "sandbox":"s1","own":true,"prepared":true,"keep":false,"vf_of":"0000:00:03.0"})");
}

TEST(JsonMessage, AGroupOfZeroIsNotAnUnknownOne) {
    v1::Attachment message;
    fill(message, {{"iommu_group", 0}});
    EXPECT_TRUE(message.has_iommu_group());
    fill(message = v1::Attachment(), {{"iommu_group", nullptr}});
    EXPECT_FALSE(message.has_iommu_group());
}

TEST(JsonMessage, APlanHasTheMembersOfEachStepAlone) {
    expect_the_same<v1::PlanResponse>(
        R"({"sandbox":"s1","dry_run":true,"steps":[
            {"step":"claim","claim":"group-4","text":"claim group-4"},
            {"step":"create_vgpu","uuid":"u","parent":"p","type":"t","text":"x"},
            {"step":"bind","record":{"address":"0000:00:02.0","earlier_driver":"i915",
             "earlier_override":null,"driver":"vfio-pci","changed":true},"text":"b"},
            {"step":"plug","id":"vfio-x","qmp":{"execute":"device_add",
             "arguments":{"driver":"vfio-pci","addr":"05.0","big":18446744073709551615}},
             "text":"p"}],"attachments":[]})");
}

TEST(JsonMessage, AReconcileReport) {
    expect_the_same<v1::ReconcileResponse>(
        R"({"dry_run":false,"sandboxes":[{"sandbox":"s1","verdict":"given_back","why":"w",
            "actions":[{"action":"remove_vgpu","subject":"u","why":"y"}],"holder":null,
            "error":{"status":412,"name":"removal_pending","message":"m","action":"a",
            "problem":"p","said":"","blocker":"b","remedy":"r"}}],
            "devices":[{"kind":"mdev","name":"u","parent":"p","type":"t","driver":null,
            "owner":"by_hand","state":"in_use","sandbox":null,
            "holder":{"pid":1,"command":"qemu"},"why":"z"}],
            "claims":[{"claim":"group-4","sandbox":null,"verdict":"torn","why":"w"}],
            "quarantined":[{"file":"f","to":"t","why":"w"}]})");
}

TEST(JsonMessage, WhatAYoungerPluginSaysIsLeftOutAndNamed) {
    v1::ListResponse message;
    std::vector<std::string> unknown;
    fill(message,
         json::parse(R"({"sandboxes":[{"sandbox":"a"},{"sandbox":"b","colour":"red"}],"x":1})")
             .as_object(),
         &unknown);
    EXPECT_EQ(unknown, (std::vector<std::string>{"sandboxes[1].colour", "x"}));
    EXPECT_EQ(message.sandboxes(1).sandbox(), "b");
}

TEST(JsonMessage, AWordOfAYoungerPluginIsUnspecified) {
    v1::Attachment message;
    fill(message, {{"kind", "cxl"}});
    EXPECT_EQ(message.kind(), v1::ATTACHMENT_KIND_UNSPECIFIED);
}

TEST(JsonMessage, TheWrongTypeIsRefused) {
    v1::Attachment message;
    EXPECT_THROW(fill(message, {{"id", 1}}), std::invalid_argument);
    EXPECT_THROW(fill(message, {{"iommu_group", "4"}}), std::invalid_argument);
    EXPECT_THROW(fill(message, {{"iommu_group", std::int64_t{1} << 40}}), std::invalid_argument);
    EXPECT_THROW(fill(message, {{"pending", "nobody"}}), std::invalid_argument);
    v1::Sandbox sandbox;
    EXPECT_THROW(fill(sandbox, {{"attachments", json::object()}}), std::invalid_argument);
}

TEST(JsonMessage, AMap) {
    expect_the_same<v1::OpenRequest>(
        R"({"sandbox":"s1","qmp_socket":"/q","annotations":{"a":"1","b":""},"request_id":"",
            "owner_pid":4711})");
}

} // namespace
} // namespace kata_vfio::rpc
