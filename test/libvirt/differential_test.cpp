// SPDX-License-Identifier: Apache-2.0
// What QEMU is sent for a table of requests (the plugin on a played host and a simulated pc
// machine) against what libvirt would give it for the same sandbox's domain XML.
#include "config/base/file.hpp"
#include "qemu/domain_xml/domain.hpp"
#include "qemu/domain_xml/native.hpp"
#include "test/unit/cli/command_world.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ostream>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;
namespace xml = qemu::domain_xml;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";
constexpr auto other_uuid = "a297db4a-f4c2-11e6-90f6-d3b88d6c9525";
constexpr auto type = "i915-GVTg_V4_8";

struct Libvirt : SandboxWorld {
    Libvirt() {
        ::unsetenv("KATA_VFIO_LIBVIRT");
        ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1); // not the host's
        configure("path = \"/usr/bin/qemu-system-x86_64\"\ndefault_memory = 256\n");
        populate_more();
        // A GPU with its sound, one group: two functions of one slot in the guest.
        root.populate_function({.address = "0000:01:00.0", .device = 0x56a0, .group = 5});
        root.populate_function({.address = "0000:01:00.1",
                                .device = 0x4f90,
                                .class_code = 0x040300,
                                .driver = "snd_hda_intel",
                                .group = 5});
        play();
    }

    ~Libvirt() override { ::unsetenv("XDG_CACHE_HOME"); }

    /// The arguments of each device_add that QEMU has been sent, in order.
    std::vector<json::object> sent() const {
        std::vector<json::object> all;
        for (const auto& each : machine.commands())
            if (each.at("execute") == "device_add")
                all.push_back(each.at("arguments").as_object());
        return all;
    }
    std::string file(const std::string& text) const {
        root.write("/domain.xml", text);
        return root.at("/domain.xml").string();
    }

    const plugin::TempDir cache;
};

struct Case {
    const char* name;
    std::vector<std::vector<std::string>> attaches; ///< what stands behind `attach s1`
    unsigned filled = 0;                            ///< slots that others have
    std::size_t devices = 1;
    bool bind_group = false; ///< of two functions, by hand, as its node wants it
};
std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.name;
}

struct Differential : Libvirt, testing::WithParamInterface<Case> {};

TEST_P(Differential, DeviceAddMeansWhatLibvirtsDeviceMeans) {
    const auto& one = GetParam();
    machine.fill_bus(one.filled);
    open();
    if (one.bind_group)
        for (const auto* function : {"0000:01:00.0", "0000:01:00.1"})
            ok({"bind", function});
    for (auto words : one.attaches) {
        words.insert(words.begin(), {"attach", "s1"});
        ok(words);
    }
    const auto commands = sent();
    ASSERT_EQ(commands.size(), one.devices);

    const auto checked = ok({"xml", "check", "s1"});
    EXPECT_EQ(checked.at("valid"), true);
    EXPECT_EQ(checked.at("machine").at("name"), "pc-i440fx-7.2");
    const auto& devices = checked.at("devices").as_array();
    ASSERT_EQ(devices.size(), one.devices);
    for (const auto& each : devices) {
        EXPECT_EQ(each.at("verdict"), "same");
        const auto& theirs = each.at("libvirt").as_object();
        // Not only what check takes for ours: what went over QMP.
        const auto same = std::ranges::find_if(commands, [&](const auto& command) {
            return xml::host_device(command) == xml::host_device(theirs);
        });
        ASSERT_NE(same, commands.end()) << theirs;
        EXPECT_THAT(xml::differences(theirs, "libvirt", *same, "we"), IsEmpty()) << *same;
    }

    // And it would have been noticed: the same devices, one slot further.
    auto domain = xml::read_domain(std::string(ok({"xml", "export", "s1"}).at("xml").as_string()));
    for (auto& hostdev : domain.hostdevs)
        hostdev.guest->slot = hostdev.guest->slot == 31 ? 1 : hostdev.guest->slot + 1;
    const auto moved = ok({"xml", "check", file(xml::write_domain(domain))});
    for (const auto& each : moved.at("devices").as_array()) {
        const auto& theirs = each.at("libvirt").as_object();
        const auto same = std::ranges::find_if(commands, [&](const auto& command) {
            return xml::host_device(command) == xml::host_device(theirs);
        });
        ASSERT_NE(same, commands.end());
        EXPECT_THAT(xml::differences(theirs, "libvirt", *same, "we"),
                    testing::ElementsAre(HasSubstr("addr: libvirt has '")));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Requests, Differential,
    testing::Values(
        Case{"VgpuByType", {{type, "--uuid", uuid}}},
        Case{"VgpuOfAnotherParent", {{"mtty-1", "--uuid", other_uuid}}},
        Case{"Function", {{"0000:00:03.0"}}}, Case{"WholeGpu", {{"0000:00:02.0"}}},
        Case{"GroupOfTwoFunctions", {{"/dev/vfio/5"}}, 0, 2, true},
        Case{"OnAFullBus", {{type, "--uuid", uuid}}, 28},
        Case{"AllAtOnce", {{type, "--uuid", uuid}, {"0000:00:03.0"}, {"/dev/vfio/5"}}, 3, 4, true}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Libvirt, TakesTheSlotsThatWeTake) {
    open();
    ok({"attach", "s1", type, "--uuid", uuid});
    ok({"attach", "s1", "0000:00:03.0"});
    const auto commands = sent();
    auto domain = xml::read_domain(std::string(ok({"xml", "export", "s1"}).at("xml").as_string()));
    for (auto& hostdev : domain.hostdevs)
        hostdev.guest.reset(); // libvirt chooses
    const auto checked = ok({"xml", "check", file(xml::write_domain(domain))});
    const auto& devices = checked.at("devices").as_array();
    ASSERT_EQ(devices.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i)
        EXPECT_THAT(
            xml::differences(devices[i].at("libvirt").as_object(), "libvirt", commands[i], "we"),
            IsEmpty());
}

TEST_F(Libvirt, SaysWhatIsWrongInADomain) {
    const auto done = run({"xml", "check",
                           file("<domain type='qemu'><name>s1</name><memory>65536</memory><vcpux/>"
                                "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>")});
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.out, HasSubstr("domain s1: refused: XML document failed to validate"));
    const auto machine99 = run(
        {"xml", "check",
         file("<domain type='qemu'><name>s1</name><memory>65536</memory><os><type arch='x86_64' "
              "machine='pc-i440fx-99'>hvm</type></os><devices><hostdev mode='subsystem' "
              "type='mdev' model='vfio-pci'><source><address uuid='" +
              std::string(uuid) + "'/></source></hostdev></devices></domain>")});
    EXPECT_EQ(machine99.status, 4);
    EXPECT_THAT(machine99.out, HasSubstr("refuses the machine: "));
    EXPECT_THAT(machine99.out, HasSubstr("does not support machine type 'pc-i440fx-99'"));
    EXPECT_THAT(machine99.out, HasSubstr("vGPU " + std::string(uuid) + ": not compared: "));
}

/// A QEMU is asked what it can do once, and again when it is another.
TEST_F(Libvirt, KeepsWhatItHasFoundOut) {
    namespace fs = std::filesystem;
    const plugin::TempDir place; // where nobody gets to it
    fs::permissions(place.path(), static_cast<fs::perms>(0755));
    const auto runs = place.path() / "runs", emulator = place.path() / "qemu";
    const auto install = [&] {
        place.write("qemu", "#!/bin/sh\necho run >>" + runs.string() +
                                "\nexec /usr/bin/qemu-system-x86_64 \"$@\"\n");
        fs::permissions(emulator, static_cast<fs::perms>(0755));
    };
    install();
    place.write("runs", "");
    fs::permissions(runs, static_cast<fs::perms>(0666));
    configure("path = \"" + emulator.string() + "\"\ndefault_memory = 256\n");
    const auto domain =
        file("<domain type='qemu'><name>s1</name><memory>65536</memory><os><type arch='x86_64' "
             "machine='pc'>hvm</type></os><devices><emulator>" +
             emulator.string() + "</emulator></devices></domain>");
    const auto check = [&] {
        const auto before = place.read("runs").size();
        EXPECT_EQ(ok({"xml", "check", domain}).at("valid"), true);
        return place.read("runs").size() - before;
    };
    EXPECT_GT(check(), 0u);
    EXPECT_EQ(check(), 0u);
    fs::remove(emulator);
    install();
    EXPECT_GT(check(), 0u) << "of another QEMU at its place";
}

TEST_F(Libvirt, WithoutItsQemuDriver) {
    ::setenv("LIBVIRT_DRIVER_DIR", root.at("/nowhere").c_str(), 1);
    const auto done =
        run({"xml", "check",
             file("<domain type='qemu'><os><type machine='pc'>hvm</type></os></domain>")});
    ::unsetenv("LIBVIRT_DRIVER_DIR");
    EXPECT_EQ(done.status, 4);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, HasSubstr("libvirt's QEMU driver can't be used"));
    EXPECT_THAT(done.err, HasSubstr("install libvirt-daemon-driver-qemu; only xml check needs it"));
}

/// libvirt's own schema, for what its embedded driver takes no XML of.
TEST_F(Libvirt, NodeDevicesAreOfItsSchema) {
    const auto validates = [&](const std::string& text) {
        return std::system(("xmllint --noout --relaxng /usr/share/libvirt/schemas/nodedev.rng " +
                            file(text) + " 2>" + root.at("/xmllint").string())
                               .c_str()) == 0;
    };
    ok({"create", type, "--uuid", uuid});
    for (const auto* device : {uuid, "0000:00:02.0", "0000:00:03.0", "0000:01:00.1"}) {
        const auto made = ok({"xml", "export", "--nodedev", device}).at("xml");
        EXPECT_TRUE(validates(std::string(made.as_string()))) << made << root.read("/xmllint");
    }
    EXPECT_FALSE(validates("<device><parent>p</parent><capability type='mdev'/></device>"));
}

} // namespace
} // namespace kata_vfio::cli
