// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

namespace kata_vfio::qemu::domain_xml {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

Domain sample() {
    Domain domain;
    domain.name = "s1";
    domain.machine = "pc-i440fx-7.2";
    domain.emulator = "/usr/bin/qemu-system-x86_64";
    domain.memory_kib = 2048 * 1024;
    domain.vcpus = 2;
    Hostdev vgpu;
    vgpu.kind = Hostdev::Kind::mdev;
    vgpu.uuid = uuid;
    vgpu.guest = PciPlace{0, 0, 5, 0};
    vgpu.id = "vfio-bbc4aafe";
    Hostdev gpu;
    gpu.host = PciPlace{0, 1, 0, 0};
    gpu.guest = PciPlace{0, 0, 6, 0};
    gpu.multifunction = true;
    Hostdev audio;
    audio.host = PciPlace{0, 1, 0, 1};
    audio.guest = PciPlace{0, 0, 6, 1};
    audio.managed = false;
    domain.hostdevs = {vgpu, gpu, audio};
    return domain;
}

/// A domain whose <devices> (or, with "!", whose all but that) is this.
std::string with_devices(const std::string& devices, const std::string& machine = "machine='pc'") {
    return "<domain type='kvm'>\n<name>s1</name>\n<memory>1024</memory>\n<os><type " + machine +
           ">hvm</type></os>\n<devices>\n" + devices + "\n</devices>\n</domain>\n";
}

constexpr auto mdev_open = "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>";
const std::string mdev_source = "<source><address uuid='" + std::string(uuid) + "'/></source>";
const std::string pci_source = "<source><address bus='1' slot='0x02' function='1'/></source>";

std::string mdev(const std::string& rest = {}) {
    return mdev_open + mdev_source + rest + "</hostdev>";
}
std::string pci(const std::string& rest = {}) {
    return "<hostdev type='pci' managed='yes'>" + pci_source + rest + "</hostdev>";
}

std::string refusal(const std::string& xml, Errc code = Errc::invalid_argument) {
    try {
        read_domain(xml);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), code) << failure.what();
        return failure.what();
    }
    return "taken";
}

TEST(PciPlace, ParsesOnlyTheWholeForm) {
    EXPECT_EQ(PciPlace::parse("0000:00:05.0"), (PciPlace{0, 0, 5, 0}));
    EXPECT_EQ(PciPlace::parse("ffff:FF:1f.7"), (PciPlace{0xffff, 0xff, 0x1f, 7}));
    EXPECT_EQ((PciPlace{1, 2, 0x1f, 7}).text(), "0001:02:1f.7");
    for (const auto* bad : {"", "00:05.0", "0000:00:20.0", "0000:00:05.8", "0000:00:05.0 ",
                            "0000-00:05.0", "000g:00:05.0"})
        EXPECT_FALSE(PciPlace::parse(bad)) << bad;
}

TEST(DomainXml, WhatIsWrittenIsReadBack) {
    const auto before = sample();
    const auto xml = write_domain(before);
    const auto after = read_domain(xml);
    EXPECT_EQ(after.name, before.name);
    EXPECT_EQ(after.machine, before.machine);
    EXPECT_EQ(after.emulator, before.emulator);
    EXPECT_EQ(after.memory_kib, before.memory_kib);
    EXPECT_EQ(after.vcpus, before.vcpus);
    EXPECT_TRUE(after.kvm);
    ASSERT_EQ(after.hostdevs.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(after.hostdevs[i].name(), before.hostdevs[i].name());
        EXPECT_EQ(after.hostdevs[i].guest, before.hostdevs[i].guest);
        EXPECT_EQ(after.hostdevs[i].multifunction, before.hostdevs[i].multifunction);
        EXPECT_EQ(after.hostdevs[i].id, before.hostdevs[i].id);
        if (before.hostdevs[i].kind == Hostdev::Kind::pci) {
            EXPECT_EQ(after.hostdevs[i].managed, before.hostdevs[i].managed);
        }
    }
    EXPECT_EQ(write_domain(after), xml);
}

TEST(DomainXml, NamesOfAnyBytesStayWellFormed) {
    auto domain = sample();
    domain.name = "a<b&'\"\x01";
    EXPECT_EQ(read_domain(write_domain(domain)).name, "a<b&'\"\xef\xbf\xbd");
}

TEST(DomainXml, ReadsWhatLibvirtWrites) {
    const auto domain = read_domain(
        "<!-- from virsh dumpxml --><domain type='qemu' id='3'><name>web</name>"
        "<uuid>c06de9c3-bcf2-476d-a3b1-a53566d8a3c7</uuid><memory unit='GiB'>1</memory>"
        "<currentMemory unit='KiB'>1048576</currentMemory><vcpu placement='static'>4</vcpu>"
        "<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><boot dev='hd'/></os>"
        "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><disk/><disk/><interface/>"
        "<controller type='pci' index='0' model='pci-root'/>" +
        mdev("<alias name='hostdev0'/><address type='pci' domain='0x0000' bus='0x00' slot='0x05' "
             "function='0x0'/>") +
        pci("<boot order='1'/>") + "<memballoon model='virtio'/></devices></domain>");
    EXPECT_FALSE(domain.kvm);
    EXPECT_EQ(domain.uuid, "c06de9c3-bcf2-476d-a3b1-a53566d8a3c7");
    EXPECT_EQ(domain.memory_kib, 1024u * 1024);
    EXPECT_EQ(domain.vcpus, 4u);
    ASSERT_EQ(domain.hostdevs.size(), 2u);
    EXPECT_EQ(domain.hostdevs[0].id, "") << "libvirt's own alias is no name";
    EXPECT_EQ(domain.hostdevs[0].guest->text(), "0000:00:05.0");
    EXPECT_EQ(domain.hostdevs[1].host.text(), "0000:01:02.1");
    EXPECT_THAT(domain.notes,
                ElementsAre(HasSubstr("boot order is not for"), HasSubstr("2 <disk> left out"),
                            HasSubstr("1 <interface> left out")));
}

TEST(DomainXml, MemoryUnits) {
    const auto kib = [](const std::string& attribute, const std::string& text) {
        return read_domain("<domain type='kvm'><memory" + attribute + ">" + text +
                           "</memory><os><type machine='pc'>hvm</type></os></domain>")
            .memory_kib;
    };
    EXPECT_EQ(kib("", "2048"), 2048u);
    EXPECT_EQ(kib(" unit='b'", "1025"), 2u) << "never less than was asked for";
    EXPECT_EQ(kib(" unit='MiB'", "2"), 2048u);
    EXPECT_EQ(kib(" unit='MB'", "1"), 977u);
    EXPECT_EQ(kib(" unit='T'", "1"), 1ull << 30);
    EXPECT_THAT(refusal("<domain type='kvm'><memory unit='PiB'>1</memory><os><type machine='pc'/>"
                        "</os></domain>"),
                HasSubstr("unit 'PiB' is none of libvirt's"));
    EXPECT_THAT(refusal("<domain type='kvm'><memory unit='T'>99999999999</memory><os><type "
                        "machine='pc'/></os></domain>"),
                HasSubstr("'99999999999' is no number from 0 to"));
}

TEST(DomainXml, NoSuchDocument) {
    EXPECT_THAT(refusal(""), HasSubstr("no well-formed XML"));
    EXPECT_THAT(refusal("<domain type='kvm'>\n<name>\n</domain>"),
                HasSubstr("line 3: this is no well-formed XML"));
    EXPECT_THAT(refusal("<network/>"), HasSubstr("<network>: this is no domain XML"));
    EXPECT_THAT(refusal("<domain type='xen'/>"), HasSubstr("type 'xen' is neither"));
    EXPECT_THAT(refusal("<domain/>"), HasSubstr("type '' is neither"));
    EXPECT_THAT(refusal("<domain type='kvm'/>"), HasSubstr("no <os><type machine='...'>"));
    EXPECT_THAT(refusal("<!DOCTYPE d [<!ENTITY x SYSTEM '/etc/passwd'>]><domain type='kvm'/>"),
                HasSubstr("has a DOCTYPE"));
    EXPECT_THAT(refusal(std::string((4u << 20) + 1, ' ')), HasSubstr("longer than 4 MiB"));
    std::string deep;
    for (int i = 0; i < 200000; ++i)
        deep += "<a>";
    EXPECT_THAT(refusal(deep), HasSubstr("no well-formed XML"));
    EXPECT_TRUE(is_document_of("<domain/>", "domain"));
    EXPECT_FALSE(is_document_of("<device/>", "domain"));
    EXPECT_FALSE(is_document_of("<domain", "domain"));
}

TEST(DomainXml, OnlyThePcMachine) {
    EXPECT_THAT(refusal(with_devices("", "machine='pc-q35-7.2'"), Errc::machine_refused),
                HasSubstr("line 4: <type>: machine 'pc-q35-7.2' has a root bus that takes no VFIO "
                          "device; write machine='pc'"));
    EXPECT_THAT(refusal(with_devices("", "machine='microvm'"), Errc::machine_refused),
                HasSubstr("'microvm'"));
    EXPECT_THAT(refusal(with_devices("", "arch='aarch64' machine='virt'"), Errc::machine_refused),
                HasSubstr("arch 'aarch64' has no pc machine"));
    EXPECT_THAT(refusal(with_devices("", "")), HasSubstr("names no machine"));
    EXPECT_EQ(read_domain(with_devices("", "machine='pc-1.0'")).machine, "pc-1.0");
}

TEST(DomainXml, DevicesThatHotPlugCannotGive) {
    const auto of = [](const std::string& devices) { return refusal(with_devices(devices)); };
    EXPECT_EQ(read_domain(with_devices(mdev() + pci())).hostdevs.size(), 2u);
    EXPECT_THAT(of("<hostdev type='usb'/>"), HasSubstr("line 6: <hostdev>: type 'usb' is no VFIO"));
    EXPECT_THAT(of("<hostdev mode='capabilities' type='misc'/>"), HasSubstr("mode 'capabilities'"));
    EXPECT_THAT(of("<hostdev type='mdev' model='vfio-ccw'>" + mdev_source + "</hostdev>"),
                HasSubstr("model 'vfio-ccw' is not 'vfio-pci'"));
    EXPECT_THAT(
        of("<hostdev type='mdev' model='vfio-pci' display='on'>" + mdev_source + "</hostdev>"),
        HasSubstr("display='on' is only for a device that QEMU starts with; leave display"));
    EXPECT_THAT(
        of("<hostdev type='mdev' model='vfio-pci' ramfb='on'>" + mdev_source + "</hostdev>"),
        HasSubstr("ramfb='on'"));
    EXPECT_THAT(of("<hostdev type='mdev' model='vfio-pci'/>"), HasSubstr("no <source><address"));
    EXPECT_THAT(of("<hostdev type='mdev' model='vfio-pci'><source><address/></source></hostdev>"),
                HasSubstr("no uuid"));
    EXPECT_THAT(of(pci("<driver name='kvm'/>")), HasSubstr("name 'kvm' is not 'vfio'"));
    EXPECT_THAT(of(pci("<driver name='vfio' model='mlx5_vfio_pci'/>")),
                HasSubstr("model 'mlx5_vfio_pci'"));
    EXPECT_THAT(of(pci("<rom bar='off'/>")), HasSubstr("no option for a ROM; leave <rom> out"));
    EXPECT_THAT(of(pci("<teaming type='transient'/>")), HasSubstr("failover"));
    EXPECT_THAT(of(pci("<address type='pci' bus='1' slot='2'/>")),
                HasSubstr("guest address 0000:01:02.0 is not on the root bus"));
    EXPECT_THAT(of(pci("<address type='pci' slot='0'/>")), HasSubstr("slot 0"));
    EXPECT_THAT(of(pci("<address type='pci' slot='0x20'/>")),
                HasSubstr("slot '0x20' is no number from 0 to 31"));
    EXPECT_THAT(of(pci("<address type='pci' slot='5x'/>")), HasSubstr("slot '5x'"));
    EXPECT_THAT(of(pci("<address type='pci' slot='0x'/>")), HasSubstr("slot '0x'"));
    EXPECT_THAT(of(pci("<address type='ccw'/>")), HasSubstr("type 'ccw' is not 'pci'"));
    EXPECT_THAT(of(mdev() + mdev()), HasSubstr("is in the domain already"));
    const auto at5 = std::string("<address type='pci' slot='5'/>");
    EXPECT_THAT(of(mdev(at5) + pci(at5)), HasSubstr("0000:00:05.0 is another device's already"));
}

TEST(DomainXml, EveryCutAndEveryChangedByteIsTakenOrRefused) {
    const auto xml = write_domain(sample());
    std::size_t taken = 0, refused = 0;
    const auto read = [&](const std::string& text) {
        try {
            read_domain(text);
            ++taken;
        } catch (const Failure& failure) {
            EXPECT_NE(failure.code(), Errc::internal);
            ++refused;
        }
    };
    for (std::size_t i = 0; i < xml.size(); ++i) {
        read(xml.substr(0, i));
        for (const char c : {'<', '\'', '\0', '9', '\xff'}) {
            auto changed = xml;
            changed[i] = c;
            read(changed);
        }
    }
    EXPECT_GT(taken, xml.size() / 4) << "names and white space";
    EXPECT_GT(refused, xml.size());
}

TEST(DomainXml, DeviceAddIsTheEncodersOwn) {
    const auto domain = sample();
    EXPECT_EQ(boost::json::serialize(encode_device_add(vfio_device(domain.hostdevs[0]))),
              R"({"driver":"vfio-pci","id":"vfio-bbc4aafe","bus":"pci.0","addr":"05.0",)"
              R"("sysfsdev":"/sys/bus/mdev/devices/bbc4aafe-5807-11e8-a43e-03533cceae7d"})");
    EXPECT_EQ(boost::json::serialize(encode_device_add(vfio_device(domain.hostdevs[1]))),
              R"({"driver":"vfio-pci","id":"vfio-0000.01.00.0","bus":"pci.0","addr":"06.0",)"
              R"("sysfsdev":"/sys/bus/pci/devices/0000:01:00.0","multifunction":true})");
}

} // namespace
} // namespace kata_vfio::qemu::domain_xml
