// SPDX-License-Identifier: Apache-2.0
#include "qemu/inventory.hpp"

#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

json::object function(int bus, int slot, const std::string& id, int index = 0) {
    return {{"bus", bus}, {"slot", slot}, {"function", index}, {"qdev_id", id}};
}
json::value buses(json::array devices) {
    return json::array{json::object{{"bus", 0}, {"devices", std::move(devices)}}};
}
json::value book(std::initializer_list<std::pair<std::string, std::string>> devices) {
    json::array list{json::object{{"name", "type"}, {"type", "string"}}};
    for (const auto& [id, type] : devices)
        list.push_back(json::object{{"name", id}, {"type", "child<" + type + ">"}});
    return list;
}
/// "id type address state", one a device.
std::vector<std::string> lines(const Inventory& inventory) {
    std::vector<std::string> out;
    for (const auto& device : inventory.devices())
        out.push_back(device.id + ' ' + device.type + ' ' + device.guest_address + ' ' +
                      std::string(text(device.state)));
    return out;
}
using Lines = std::vector<std::string>;

} // namespace

TEST(Inventory, BothRepliesTogether) {
    const auto inventory = Inventory::parse(
        buses({function(0, 0, ""), function(0, 5, "gpu0"), function(0, 6, "nic0")}),
        book({{"nic0", "e1000"}, {"gpu0", "vfio-pci"}}));
    EXPECT_EQ(lines(inventory),
              (Lines{"nic0 e1000 0000:00:06.0 present", "gpu0 vfio-pci 0000:00:05.0 present"}));
    EXPECT_EQ(inventory.state("gpu0"), LifeState::present);
    EXPECT_EQ(inventory.state("gpu1"), LifeState::absent);
    EXPECT_EQ(inventory.find("type"), nullptr);
    EXPECT_EQ(inventory.root_bus().next_free(), 2u);
}

TEST(Inventory, WhatOnlyTheBusKnowsIsGoing) {
    const auto inventory = Inventory::parse(buses({function(0, 5, "gpu0")}), book({}));
    EXPECT_EQ(lines(inventory), Lines{"gpu0  0000:00:05.0 removing"});
    EXPECT_EQ(inventory.state("gpu0"), LifeState::removing);
}

TEST(Inventory, WhatOnlyTheBookKnowsHasNoAddress) {
    const auto inventory = Inventory::parse(buses({}), book({{"dimm0", "pc-dimm"}}));
    EXPECT_EQ(lines(inventory), Lines{"dimm0 pc-dimm  present"});
}

TEST(Inventory, BehindBridgesAndOnOtherBuses) {
    auto bridge = function(0, 3, "br0");
    auto inner = function(1, 1, "br1");
    inner["pci_bridge"] = json::object{{"devices", json::array{function(2, 31, "deep", 7)}}};
    bridge["pci_bridge"] =
        json::object{{"devices", json::array{function(1, 2, "disk0"), std::move(inner)}}};
    auto value = buses({std::move(bridge)});
    value.as_array().push_back(
        json::object{{"bus", 128}, {"devices", json::array{function(128, 0, "far")}}});
    const auto inventory = Inventory::parse(value, book({{"br0", "pci-bridge"},
                                                         {"disk0", "virtio-blk-pci"},
                                                         {"br1", "pci-bridge"},
                                                         {"deep", "e1000"},
                                                         {"far", "e1000"}}));
    EXPECT_EQ(
        lines(inventory),
        (Lines{"br0 pci-bridge 0000:00:03.0 present", "disk0 virtio-blk-pci 0000:01:02.0 present",
               "br1 pci-bridge 0000:01:01.0 present", "deep e1000 0000:02:1f.7 present",
               "far e1000 0000:80:00.0 present"}));
    EXPECT_EQ(inventory.root_bus().devices().size(), 1u);
}

TEST(Inventory, WhatIsOfAnotherShapeIsLeftOut) {
    const auto inventory =
        Inventory::parse(json::parse(R"([5, {"bus": 0, "devices": [null, {"qdev_id": 5},
                        {"qdev_id": "gpu0", "bus": 0, "slot": 99, "function": 0},
                        {"qdev_id": "gpu0", "bus": 0, "slot": 4, "function": 0}]},
                        {"bus": 1, "devices": {}}])"),
                         json::parse(R"([5, {"name": 5, "type": "child<x>"}, {"name": "gpu0"},
                        {"name": "gpu0", "type": "link<vfio-pci>"},
                        {"name": "gpu0", "type": "child<vfio-pci>"}])"));
    EXPECT_EQ(lines(inventory), Lines{"gpu0 vfio-pci  present"});
    EXPECT_THROW((void)Inventory::parse(5, book({})), Failure);
    EXPECT_THROW((void)Inventory::parse(buses({}), 5), Failure);
}

TEST(Inventory, IsAskedInOneRoundTrip) {
    fake::FakeQmp peer;
    peer.greeting()
        .capabilities()
        .expect("query-pci")
        .expect("qom-list", {{"path", "/machine/peripheral"}}) // before the first is answered
        .reply_to("query-pci", buses({function(0, 9, "gpu0")}))
        .reply(book({{"gpu0", "vfio-pci"}}))
        .expect_hangup()
        .start();
    const auto told = fake::run([&]() -> asio::awaitable<Lines> {
        const auto session = co_await Session::connect(peer.path());
        const auto found = co_await inventory(*session);
        co_return lines(found);
    });
    EXPECT_EQ(told, Lines{"gpu0 vfio-pci 0000:00:09.0 present"});
    EXPECT_EQ(peer.finish(), Lines{});
}
