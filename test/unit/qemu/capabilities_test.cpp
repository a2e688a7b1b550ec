// SPDX-License-Identifier: Apache-2.0
#include "qemu/capabilities.hpp"

#include "qemu/hotplug.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using fake::FakeQmp;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using None = std::vector<std::string>;

const json::value schema = json::parse(R"([
    {"name": "object-add", "meta-type": "command", "arg-type": "183"},
    {"name": "183", "meta-type": "object", "tag": "qom-type",
     "variants": [{"case": "iothread", "type": "1"}, {"case": "iommufd", "type": "2"}]},
    {"name": "DEVICE_UNPLUG_GUEST_ERROR", "meta-type": "event", "arg-type": "3"}])");
const json::value properties =
    json::parse(R"([{"name": "sysfsdev"}, {"name": "fd"}, {"name": "iommufd"}])");

asio::awaitable<Capabilities> probe(std::string path) {
    const auto session = co_await Session::connect(std::move(path));
    CapabilityProbe asking(*session);
    co_return co_await asking.finish();
}

} // namespace

TEST(Capabilities, AllOfThem) {
    const auto found = parse_capabilities(schema, properties);
    EXPECT_TRUE(found.sysfsdev && found.fd && found.iommufd);
    EXPECT_TRUE(found.iommufd_object && found.unplug_guest_error && found.takes_iommufd());
}

TEST(Capabilities, PropertyAndObjectAreBothNeeded) {
    EXPECT_FALSE(parse_capabilities(json::array(), properties).takes_iommufd());
    EXPECT_FALSE(parse_capabilities(schema, json::array()).takes_iommufd());
}

TEST(Capabilities, WhatIsOfAnotherShapeIsNo) {
    for (const char* text :
         {"null", "{}", "5", "[5, null, []]", R"([{"name": "object-add"}])",
          R"([{"name": "object-add", "meta-type": "command"}])",
          R"([{"name": "object-add", "meta-type": "command", "arg-type": 5}])",
          R"([{"name": "object-add", "meta-type": "command", "arg-type": "none"}])",
          R"([{"name": "object-add", "meta-type": "command", "arg-type": "object-add"}])",
          R"([{"name": "object-add", "meta-type": "event", "arg-type": "7"},
              {"name": "7", "variants": [{"case": "iommufd"}]}])",
          R"([{"name": "object-add", "meta-type": "command", "arg-type": "7"},
              {"name": "7", "variants": {"case": "iommufd"}}])",
          R"([{"name": "DEVICE_UNPLUG_GUEST_ERROR", "meta-type": "command"}])",
          R"([{"name": ["iommufd"]}, "iommufd"])"})
        EXPECT_EQ(parse_capabilities(json::parse(text), json::parse(text)), Capabilities()) << text;
}

TEST(CapabilityProbe, AsksBothAtOnce) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-qmp-schema")
        .expect("device-list-properties", {{"typename", "vfio-pci"}})
        .reply_to("query-qmp-schema", schema)
        .reply(properties)
        .expect_hangup()
        .start();
    EXPECT_TRUE(run([&] { return probe(peer.path()); }).takes_iommufd());
    EXPECT_EQ(peer.finish(), None{});
}

TEST(CapabilityProbe, RefusedIsNo) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-qmp-schema")
        .reply(schema)
        .expect("device-list-properties")
        .error("DeviceNotFound", "Device 'vfio-pci' not found")
        .expect_hangup()
        .start();
    const auto found = run([&] { return probe(peer.path()); });
    EXPECT_TRUE(found.iommufd_object);
    EXPECT_FALSE(found.takes_iommufd());
    EXPECT_EQ(peer.finish(), None{});
}

namespace {

Plugged plug_by_cdev(const std::string& path) {
    return run([&]() -> asio::awaitable<Plugged> {
        const auto session = co_await Session::connect(path);
        const auto adding = session->submit(add_iommufd());
        VfioDevice device("gpu0", "/sys/x");
        device.iommufd = iommufd_id;
        const RootBus empty;
        co_return co_await plug(*session, std::move(device), empty);
    });
}

} // namespace

TEST(Iommufd, IsAddedAndThePlugSentBehindItWithoutWaiting) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("object-add", {{"qom-type", "iommufd"}, {"id", "vfio-iommufd"}})
        .expect("device_add", {{"iommufd", "vfio-iommufd"}, {"sysfsdev", "/sys/x"}})
        .reply_to("object-add")
        .reply()
        .expect_hangup()
        .start();
    EXPECT_EQ(plug_by_cdev(peer.path()).guest_address, "0000:00:02.0");
    EXPECT_EQ(peer.finish(), None{});
}

TEST(Iommufd, OneFromBeforeServesAsWell) {
    FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("object-add")
        .error("GenericError", "attempt to add duplicate property 'vfio-iommufd' to object (type "
                               "'container')")
        .expect("device_add")
        .reply()
        .expect_hangup()
        .start();
    EXPECT_EQ(plug_by_cdev(peer.path()).guest_address, "0000:00:02.0");
    EXPECT_EQ(peer.finish(), None{});
}
