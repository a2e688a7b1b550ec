// SPDX-License-Identifier: Apache-2.0
// XML from elsewhere: what another reader would see otherwise, what would be lost without a word,
// and what takes for ever.
#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"
#include "qemu/domain_xml/node_device.hpp"

#include <gmock/gmock.h>

#include <chrono>

namespace kata_vfio::qemu::domain_xml {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string domain(const std::string& devices, const std::string& rest = {}) {
    return "<domain type='kvm'>\n<name>s1</name>\n<memory>1048576</memory>\n<os><type "
           "machine='pc'>hvm</type></os>" +
           rest + "\n<devices>\n" + devices + "\n</devices>\n</domain>\n";
}

std::string pci(unsigned slot, const std::string& rest = {},
                const std::string& attributes = "managed='yes'") {
    return "<hostdev type='pci' " + attributes + "><source><address slot='" + std::to_string(slot) +
           "'/></source>" + rest + "</hostdev>";
}

std::string refusal(const std::string& xml) {
    try {
        read_domain(xml);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::invalid_argument) << failure.what();
        EXPECT_NE(failure.advice(), "") << failure.what();
        return failure.what();
    }
    return "taken";
}

std::vector<std::string> notes(const std::string& xml) {
    return read_domain(xml).notes;
}

// --- what another reader of the same bytes would see otherwise

TEST(HostileXml, OneRootAndNothingBesideIt) {
    EXPECT_THAT(refusal(domain(pci(3)) + domain(pci(4))),
                HasSubstr("line 9: <domain>: the XML has a second document"));
    EXPECT_THAT(refusal(domain(pci(3)) + "shutdown"), HasSubstr("line 8: there is text outside"));
    EXPECT_EQ(read_domain("<?xml version='1.0'?>\n<!-- c -->" + domain(pci(3)) + "<!-- d -->\n")
                  .hostdevs.size(),
              1u);
}

TEST(HostileXml, OnlyUtf8) {
    for (const auto* encoding : {"UTF-7", "ISO-8859-1", "utf-16"})
        EXPECT_THAT(
            refusal("<?xml version='1.0' encoding='" + std::string(encoding) + "'?>" + domain("")),
            HasSubstr("line 1: encoding '" + std::string(encoding) + "' is not UTF-8"));
    EXPECT_EQ(read_domain("<?xml version='1.0' encoding='utf-8'?>" + domain("")).name, "s1");
    EXPECT_THAT(refusal(domain("<emulator>/opt/q\xe9mu</emulator>")),
                HasSubstr("line 6: byte 0xe9 is no UTF-8"));
    EXPECT_EQ(read_domain(domain("<emulator>/opt/q\xc3\xa9mu</emulator>")).emulator,
              "/opt/q\xc3\xa9mu");
}

TEST(HostileXml, NoControlBytes) {
    EXPECT_THAT(refusal(domain("") + std::string(1, '\0') + "<hostdev/>"),
                HasSubstr("line 9: byte 0x00"));
    EXPECT_THAT(refusal(domain("<emulator>/opt/\x1b[31m</emulator>")),
                HasSubstr("line 6: byte 0x1b"));
    EXPECT_EQ(read_domain(domain("\r\n\t")).name, "s1");
}

TEST(HostileXml, AnAttributeOnce) {
    EXPECT_THAT(refusal(domain(pci(3, {}, "type='usb'"))),
                HasSubstr("line 6: <hostdev>: attribute 'type' stands there twice"));
}

TEST(HostileXml, AnElementOnceWhereOneIsRead) {
    auto twice = domain(pci(3));
    twice.insert(twice.rfind("</domain>"), "<devices>" + pci(4) + "</devices>");
    EXPECT_THAT(refusal(twice), HasSubstr("line 8: <devices>: the second in <domain>"));
    for (const auto* element : {"<source><address slot='4'/></source>",
                                "<address type='pci' slot='5'/>", "<driver name='vfio'/>"})
        EXPECT_THAT(refusal(domain(pci(3, std::string(element) + element))),
                    HasSubstr("the second in <hostdev>"))
            << element;
    EXPECT_THAT(refusal(domain("", "<os/>")), HasSubstr("<os>: the second in <domain>"));
    EXPECT_THAT(refusal(domain("<emulator>/a</emulator><emulator>/b</emulator>")),
                HasSubstr("the second in <devices>"));
}

TEST(HostileXml, WordsThatAreNeitherYesNorNo) {
    EXPECT_THAT(refusal(domain(pci(3, {}, "managed='perhaps'"))),
                HasSubstr("managed 'perhaps' is neither 'yes' nor 'no'"));
    EXPECT_THAT(refusal(domain(pci(3, "<address type='pci' slot='6' multifunction='yes'/>"))),
                HasSubstr("multifunction 'yes' is neither 'on' nor 'off'"));
}

// --- what can't be given, or is given without a word

TEST(HostileXml, AnInterfaceThatIsAVfioDevice) {
    EXPECT_THAT(refusal(domain("<interface type='hostdev' managed='yes'><mac "
                               "address='52:54:00:6d:90:02'/><source><address type='pci' slot='7'/>"
                               "</source></interface>")),
                AllOf(HasSubstr("line 6: <interface>: type 'hostdev' is a VFIO device"),
                      HasSubstr("write it as <hostdev type='pci'>")));
    EXPECT_THAT(notes(domain("<interface type='bridge'/>")),
                ElementsAre("1 <interface> left out: not VFIO's"));
    EXPECT_THAT(notes(domain("<disk type='nvme'/>")),
                ElementsAre(HasSubstr("line 6: <disk> of type 'nvme' left out: QEMU itself")));
}

TEST(HostileXml, WhatIsLeftOutIsTold) {
    EXPECT_THAT(
        notes(domain(pci(3, "<acpi index='3'/>"))),
        ElementsAre("line 6: <acpi> of <hostdev> left out: an attach has nothing of the kind"));
    EXPECT_THAT(
        notes(domain("<hostdev type='pci' managed='yes'><source writeFiltering='no'><address "
                     "slot='3'/></source><driver name='vfio' iommufd='yes'/></hostdev>")),
        ElementsAre(HasSubstr("writeFiltering of <source>"), HasSubstr("iommufd of <driver>")));
    EXPECT_THAT(
        notes(domain("", "<qemu:commandline xmlns:qemu='u'><qemu:arg value='-device'/>"
                         "</qemu:commandline>")),
        ElementsAre(
            "line 4: <qemu:commandline> left out: devices that it gives QEMU are not looked at"));
    EXPECT_THAT(
        notes(domain("", "<clock/><cpu/><on_crash>destroy</on_crash>")),
        ElementsAre("<clock>, <cpu>, <on_crash> left out: nothing of a configuration.toml's"));
    EXPECT_THAT(notes(domain("", "<vcpu current='2'>4</vcpu>")),
                ElementsAre(HasSubstr("current='2' left out: the guest starts with all 4")));
    EXPECT_THAT(notes(domain("", "<currentMemory>524288</currentMemory>")),
                ElementsAre(HasSubstr("<currentMemory> left out: VFIO pins all of the guest's")));
    EXPECT_THAT(notes(domain("", "<currentMemory>1048576</currentMemory>")), IsEmpty());
    auto firmware = domain("");
    firmware.insert(firmware.find("</os>"), "<loader/><kernel>/vmlinuz</kernel><boot dev='hd'/>");
    EXPECT_THAT(notes(firmware),
                ElementsAre("line 4: <kernel>, <loader> of <os> left out: firmware, kernel, initrd "
                            "and kernel_params of the configuration are for that"));
    EXPECT_THAT(notes(write_domain(read_domain(domain(pci(3))))), IsEmpty());
}

TEST(HostileXml, ARomOfAVgpuToo) {
    EXPECT_THAT(refusal(domain("<hostdev type='mdev' model='vfio-pci'><source><address "
                               "uuid='bbc4aafe-5807-11e8-a43e-03533cceae7d'/></source><rom "
                               "bar='off'/></hostdev>")),
                HasSubstr("<rom>: an attach has no option for a ROM"));
}

TEST(HostileXml, AnEmulatorByItsWholePath) {
    EXPECT_THAT(refusal(domain("<emulator>qemu-kvm</emulator>")),
                HasSubstr("<emulator>: 'qemu-kvm' is no absolute path"));
}

TEST(HostileXml, MemoryThatNoConfigurationTakes) {
    auto huge = domain("");
    huge.replace(huge.find("1048576"), 7, "2199023255552");
    EXPECT_THAT(refusal(huge), HasSubstr("line 3: <memory>: the size '2199023255552' is no"));
}

TEST(HostileXml, TheCapabilityOfANodeDeviceOnce) {
    EXPECT_THROW(read_node("<device><parent>pci_0000_00_02_0</parent><capability type='mdev'><type "
                           "id='a'/></capability><capability type='mdev'><type id='b'/>"
                           "</capability></device>"),
                 Failure);
    EXPECT_THROW(read_node("<device><parent>pci_0000_00_02_0</parent><capability type='mdev'><type "
                           "id='a'/><type id='b'/></capability></device>"),
                 Failure);
}

// --- what takes for ever

/// A limit that a reader which counts lines from the top for each device misses by far: it took
/// minutes.
TEST(HostileXml, FourMebibytesInSeconds) {
    const auto begin = std::chrono::steady_clock::now();
    std::string devices;
    for (unsigned i = 0; i < 40000; ++i)
        devices += "<hostdev type='pci'><source><address domain='" + std::to_string(i >> 8) +
                   "' slot='" + std::to_string(i >> 3 & 31) + "' function='" +
                   std::to_string(i & 7) + "'/></source></hostdev>\n";
    EXPECT_EQ(notes(domain(devices)).size(), 40000u) << "one a device that is not managed";
    std::string attributes;
    for (unsigned i = 0; i < 200000; ++i)
        attributes += " a" + std::to_string(i) + "=''";
    EXPECT_EQ(read_domain(domain("<disk" + attributes + "/>")).notes.size(), 1u);
    std::string open, close;
    for (unsigned i = 0; i < 200000; ++i) {
        open += "<a>";
        close += "</a>";
    }
    EXPECT_EQ(read_domain(domain(open + close)).notes.size(), 1u);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

} // namespace
} // namespace kata_vfio::qemu::domain_xml
