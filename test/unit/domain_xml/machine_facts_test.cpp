// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"
#include "qemu/domain_xml/machine_facts.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::qemu::domain_xml {
namespace {

using testing::HasSubstr;

TEST(MachineFacts, OfLibvirtsCapabilities) {
    const auto facts = read_facts(
        "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain>"
        "<machine>pc-i440fx-7.2</machine><arch>x86_64</arch><vcpu max='255'/><devices>"
        "<hostdev supported='yes'><enum name='mode'><value>subsystem</value></enum>"
        "<enum name='subsysType'><value>usb</value><value>pci</value></enum></hostdev></devices>"
        "</domainCapabilities>");
    EXPECT_EQ(facts.emulator, "/usr/bin/qemu-system-x86_64");
    EXPECT_EQ(facts.type, "qemu");
    EXPECT_EQ(facts.machine, "pc-i440fx-7.2");
    EXPECT_EQ(facts.arch, "x86_64");
    EXPECT_EQ(facts.vcpu_max, 255u);
    EXPECT_TRUE(facts.pci_hostdev);
    EXPECT_FALSE(read_facts("<domainCapabilities/>").pci_hostdev);
    EXPECT_THROW(read_facts("<capabilities/>"), Failure);
    EXPECT_THROW(read_facts("<domainCapabilities><vcpu max='many'/></domainCapabilities>"),
                 Failure);
}

TEST(MachineFacts, ForAnyHost) {
    const std::string xml =
        "<domain type='kvm'><os><type machine='pc'>hvm</type></os><devices><hostdev type='pci'>"
        "<source><address slot='2'/></source></hostdev><hostdev type='mdev' model='vfio-pci'>"
        "<source><address uuid='u'/></source></hostdev></devices></domain>";
    const auto changed = for_any_host(xml, "qemu");
    EXPECT_THAT(changed, HasSubstr("<domain type=\"qemu\">"));
    EXPECT_THAT(changed, HasSubstr("<hostdev type=\"pci\"><driver name=\"vfio\""));
    EXPECT_THAT(changed, HasSubstr("<hostdev type=\"mdev\" model=\"vfio-pci\"><source>"));
    const auto read = read_domain(changed);
    EXPECT_FALSE(read.kvm);
    EXPECT_EQ(read.hostdevs.size(), 2u);
    EXPECT_EQ(for_any_host(changed, "qemu"), changed) << "a driver that is named stays";
}

} // namespace
} // namespace kata_vfio::qemu::domain_xml
