// SPDX-License-Identifier: Apache-2.0
// xml export and import, whole, which need no libvirt; and what xml check says where libvirt, or
// the program that asks it, is not as it should be. What libvirt answers is test/libvirt's.
#include "command_world.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/load.hpp"
#include "config/validate.hpp"
#include "qemu/domain_xml/domain.hpp"
#include "runtime-plugin/cli/xml/libvirt_helper.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

namespace kata_vfio::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
namespace xml = qemu::domain_xml;
using testing::HasSubstr;

constexpr auto gpu = "0000:00:02.0";
constexpr auto type = "i915-GVTg_V4_8";
constexpr auto uuid = "bbc4aafe-5807-11e8-a43e-03533cceae7d";

/// Before the fixtures' threads: a SIGINT to the process is to find nobody but the command.
struct HeldSigint {
    HeldSigint() {
        sigset_t held;
        sigemptyset(&held);
        sigaddset(&held, SIGINT);
        ::pthread_sigmask(SIG_BLOCK, &held, &earlier);
    }
    ~HeldSigint() { ::pthread_sigmask(SIG_SETMASK, &earlier, nullptr); }
    HeldSigint(const HeldSigint&) = delete;
    HeldSigint& operator=(const HeldSigint&) = delete;

    sigset_t earlier;
};

struct XmlVerbs : HeldSigint, SandboxWorld {
    XmlVerbs() {
        configure("default_vcpus = 3\ndefault_memory = 512\n");
        populate_more();
        play();
    }
    ~XmlVerbs() override { ::unsetenv("KATA_VFIO_LIBVIRT"); }

    std::string file(const std::string& text) const {
        root.write("/domain.xml", text);
        return root.at("/domain.xml").string();
    }
    /// A program in the helper's place.
    std::string helper(const std::string& script) const {
        root.write("/helper", "#!/bin/sh\n" + script);
        const auto path = root.at("/helper");
        fs::permissions(path, fs::perms::owner_all);
        ::setenv("KATA_VFIO_LIBVIRT", path.c_str(), 1);
        return path.string();
    }
};

std::string domain_with(const std::string& devices) {
    return "<domain type='kvm'>\n<name>s1</name>\n<os><type "
           "machine='pc'>hvm</type></os>\n<devices>" +
           devices + "</devices></domain>\n";
}

TEST_F(XmlVerbs, ExportHasMachineDevicesAndGuestAddresses) {
    open();
    ok({"attach", "s1", type, "--uuid", uuid});
    ok({"attach", "s1", "0000:00:03.0"});
    const auto done = run({"xml", "export", "s1"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    const auto domain = xml::read_domain(done.out);
    EXPECT_EQ(domain.name, "s1");
    EXPECT_EQ(domain.machine, "pc-i440fx-7.2");
    EXPECT_EQ(domain.vcpus, 3u);
    EXPECT_EQ(domain.memory_kib, 512u * 1024);
    EXPECT_FALSE(domain.kvm) << "this host has no /dev/kvm";
    ASSERT_EQ(domain.hostdevs.size(), 2u);
    const auto listed = ok({"list", "s1"}).at("sandboxes").at(0).at("attachments").as_array();
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(json::string(domain.hostdevs[i].guest->text()), listed[i].at("guest_address"));
        EXPECT_EQ(json::string(domain.hostdevs[i].id), listed[i].at("id"));
        EXPECT_EQ(json::string(domain.hostdevs[i].sysfsdev()), listed[i].at("sysfsdev"));
    }
    EXPECT_TRUE(domain.hostdevs[1].managed) << "bound for the sandbox";
    const auto as_json = ok({"xml", "export", "s1"});
    EXPECT_EQ(as_json.at("xml"), json::string(done.out));
    EXPECT_EQ(as_json.at("notes"), json::array());
}

TEST_F(XmlVerbs, ExportOfNoSandbox) {
    const auto done = run({"xml", "export", "nobody"});
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.err, HasSubstr("sandbox nobody is not known here"));
}

TEST_F(XmlVerbs, ExportOfNodeDevices) {
    ok({"create", type, "--uuid", uuid});
    EXPECT_THAT(run({"xml", "export", "--nodedev", uuid}).out,
                testing::AllOf(HasSubstr("<parent>pci_0000_00_02_0</parent>"),
                               HasSubstr("<type id='i915-GVTg_V4_8'/>"),
                               HasSubstr("<uuid>" + std::string(uuid) + "</uuid>")));
    EXPECT_THAT(run({"xml", "export", "--nodedev", gpu}).out,
                testing::AllOf(HasSubstr("<name>i915</name>"), HasSubstr("<class>0x030000</class>"),
                               HasSubstr("<type id='i915-GVTg_V4_8'>"),
                               HasSubstr("<iommuGroup number='1'>")));
    const auto none = run({"xml", "export", "--nodedev", "0000:00:09.0"});
    EXPECT_EQ(none.status, 4);
    const auto other = "a297db4a-f4c2-11e6-90f6-d3b88d6c9525";
    EXPECT_THAT(run({"xml", "export", "--nodedev", other}).err, HasSubstr("there is no vGPU a297"));
    ok({"create", "mtty-1", "--uuid", other});
    EXPECT_THAT(run({"xml", "export", "--nodedev", other}).err,
                HasSubstr("'mtty', is no PCI function"));
    EXPECT_EQ(run({"xml", "export", "--nodedev", "s1"}).status, 2);
}

TEST_F(XmlVerbs, ImportIsAConfigurationThatPassesAndItsRequests) {
    const auto path = file(domain_with(
        "<emulator>/opt/q\"e\"mu</emulator><hostdev type='mdev' model='vfio-pci'><source><address "
        "uuid='" +
        std::string(uuid) +
        "'/></source><address type='pci' slot='5'/></hostdev><hostdev type='pci' managed='yes'>"
        "<source><address slot='3'/></source></hostdev>"));
    const auto done = run({"xml", "import", path});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.err, HasSubstr("guest addresses are not promised"));
    EXPECT_THAT(done.out, HasSubstr("# kata-vfio attach ID " + std::string(uuid) +
                                    "\n# kata-vfio attach ID 0000:00:03.0\n"));
    root.write("/imported.toml", done.out);
    const auto loaded = config::load(root.at("/imported.toml"));
    EXPECT_EQ(loaded.hypervisor.path, "/opt/q\"e\"mu");
    EXPECT_EQ(loaded.hypervisor.default_vcpus, 1);
    EXPECT_EQ(run({"config", "check", root.at("/imported.toml").string()}).status, 0);

    const auto as_json = ok({"xml", "import", path});
    EXPECT_EQ(as_json.at("requests").at(0).at("device"), uuid);
    EXPECT_EQ(as_json.at("requests").at(0).at("guest_address"), "0000:00:05.0");
    EXPECT_TRUE(as_json.at("requests").at(1).at("guest_address").is_null());
}

TEST_F(XmlVerbs, WhatIsExportedIsImportedAndAttachedAgain) {
    open();
    ok({"attach", "s1", type, "--uuid", uuid, "--keep"});
    ok({"attach", "s1", "0000:00:03.0"});
    const auto before = ok({"list", "s1"}).at("sandboxes").at(0).at("attachments");
    const auto exported = run({"xml", "export", "s1"}).out;
    ok({"sandbox", "release", "s1"});
    open();
    const auto imported = ok({"xml", "import", file(exported)});
    for (const auto& request : imported.at("requests").as_array())
        ok({"attach", "s1", std::string(request.at("device").as_string())});
    const auto after = ok({"list", "s1"}).at("sandboxes").at(0).at("attachments");
    ASSERT_EQ(after.as_array().size(), 2u);
    for (std::size_t i = 0; i < 2; ++i)
        for (const auto* key : {"id", "sysfsdev", "guest_address"})
            EXPECT_EQ(after.at(i).at(key), before.at(i).at(key)) << key;
}

TEST_F(XmlVerbs, ImportOfANodeDevice) {
    ok({"create", type, "--uuid", uuid});
    const auto path = file(run({"xml", "export", "--nodedev", uuid}).out);
    ok({"remove", uuid});
    const auto made = ok({"xml", "import", path});
    EXPECT_TRUE(made.at("configuration").is_null());
    EXPECT_EQ(made.at("requests").at(0).at("device"), "i915-GVTg_V4_8@0000:00:02.0");
    EXPECT_EQ(made.at("requests").at(0).at("uuid"), uuid);
    EXPECT_EQ(run({"xml", "import", path}).out,
              "kata-vfio attach ID i915-GVTg_V4_8@0000:00:02.0 --uuid " + std::string(uuid) + "\n");
}

TEST_F(XmlVerbs, ImportRefusals) {
    const auto refused = [&](const std::string& text) {
        const auto done = run({"xml", "import", file(text)});
        EXPECT_NE(done.status, 0);
        EXPECT_EQ(done.out, "") << "half a configuration is none";
        return std::to_string(done.status) + " " + done.err;
    };
    EXPECT_THAT(refused("<network/>"), HasSubstr("2 kata-vfio: " + root.at("/domain.xml").string() +
                                                 ": line 1: <network>: this is no domain"));
    EXPECT_THAT(refused("<domain type='kvm'><os><type machine='q35'>hvm</type></os></domain>"),
                testing::AllOf(HasSubstr(": line 1: <type>: machine 'q35'"),
                               HasSubstr("what to do: write machine='pc'")));
    EXPECT_THAT(
        refused(domain_with("<hostdev type='mdev' model='vfio-pci'><source><address "
                            "uuid='BBC4AAFE-5807-11E8-A43E-03533CCEAE7D'/></source></hostdev>")),
        testing::AllOf(HasSubstr("line 4: <hostdev>"), HasSubstr(uuid)));
    const auto malformed = run({"xml", "check",
                                file(domain_with("<hostdev type='mdev' model='vfio-pci'>"
                                                 "<source><address uuid='x y'/>"
                                                 "</source></hostdev>"))});
    EXPECT_EQ(malformed.status, 2);
    EXPECT_THAT(malformed.err, testing::AllOf(HasSubstr("line 4: <hostdev>"), HasSubstr("'x y'")));
    EXPECT_THAT(run({"xml", "import", "./not-there.xml"}).err,
                HasSubstr("kata-vfio: ./not-there.xml is not there\n"));
    EXPECT_THAT(
        run({"xml", "import", "./not-there.xml"}).err,
        HasSubstr("what to do: name a file of libvirt's XML that is there, or - for standard "
                  "input"));
    const auto no_xml = file("[hypervisor.qemu]\n");
    EXPECT_THAT(run({"xml", "import", no_xml}).err,
                testing::AllOf(HasSubstr("kata-vfio: " + no_xml + ": line "),
                               HasSubstr("what to do: name a file of libvirt's XML")));
    EXPECT_EQ(run({"xml", "import"}).status, 2);
    EXPECT_EQ(run({"xml", "imprt", "x"}).status, 2);
    EXPECT_THAT(run({"--daemon", "unix:/nowhere", "xml", "export", "s1"}).err,
                HasSubstr("leave --daemon out"));
}

TEST_F(XmlVerbs, AMemoryThatAConfigurationTakes) {
    const auto path = file("<domain type='kvm'><name>s1</name><memory unit='MiB'>64</memory><os>"
                           "<type machine='pc'>hvm</type></os></domain>");
    const auto done = run({"xml", "import", path});
    EXPECT_EQ(done.status, 0);
    EXPECT_THAT(done.err, HasSubstr("memory of 64 MiB: a configuration takes 256 at least"));
    EXPECT_THAT(done.out, HasSubstr("default_memory = 256\n"));
    root.write("/imported.toml", done.out);
    EXPECT_EQ(run({"config", "check", root.at("/imported.toml").string()}).status, 0);
}

TEST_F(XmlVerbs, FunctionsOfOneSlotAreToldOf) {
    const std::string at6 = "/></source><address type='pci' slot='6' ";
    const auto done =
        run({"xml", "import",
             file(domain_with("<hostdev type='pci' managed='yes'><source><address slot='3'" + at6 +
                              "multifunction='on'/></hostdev><hostdev type='pci' managed='yes'>"
                              "<source><address slot='4'" +
                              at6 + "function='1'/></hostdev>"))});
    EXPECT_THAT(done.err, HasSubstr("functions of one slot: attached one by one each has a slot of "
                                    "its own; their group's node (/dev/vfio/N) keeps them"));
}

TEST_F(XmlVerbs, ATypeThatIsNone) {
    for (const auto* bad :
         {"vgpu:low_gm=1MB", "/dev/vfio/3", "../../x", "a@0000:00:03.0", "sriov", "x&#10;y"}) {
        const auto done = run(
            {"xml", "import",
             file("<device><parent>pci_0000_00_02_0</parent><capability type='mdev'><type id='" +
                  std::string(bad) + "'/></capability></device>")});
        EXPECT_EQ(done.status, 2) << bad << done.out;
        EXPECT_EQ(done.out, "") << bad;
        EXPECT_THAT(done.err, HasSubstr("what to do: ")) << bad;
    }
}

TEST_F(XmlVerbs, NamesOfElementsDoNotReachTheTerminalAsTheyAre) {
    const auto done = run({"xml", "import",
                           file(domain_with("<a\xc2\x9b"
                                            "31m/>"))});
    EXPECT_THAT(done.err, testing::AllOf(HasSubstr("1 <a"), testing::Not(HasSubstr("\xc2\x9b"))));
}

/// libvirt starts it to ask what it can do: a file from elsewhere is not to have this user run what
/// it likes.
TEST_F(XmlVerbs, AFilesEmulatorIsNotJustRun) {
    const auto asked = root.at("/asked");
    helper("touch " + asked.string() + "; read line; echo '{}'\n");
    root.write("/qemu", "#!/bin/sh\n");
    fs::permissions(root.at("/qemu"), fs::perms(0755));
    const auto check = [&](const std::string& emulator) {
        return run({"xml", "check", file(domain_with("<emulator>" + emulator + "</emulator>"))});
    };
    fs::permissions(root.path(), fs::perms(0777));
    auto done = check(root.at("/qemu").string());
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.err,
                testing::AllOf(HasSubstr("domain s1: the emulator '" + root.at("/qemu").string()),
                               HasSubstr("can be changed by others"),
                               HasSubstr("what to do: name it as path in configuration.toml")));
    EXPECT_THAT(check("/nowhere/qemu").err, HasSubstr("'/nowhere/qemu' is not there"));
    EXPECT_FALSE(fs::exists(asked)) << "refused before libvirt has it";

    configure("path = \"" + root.at("/qemu").string() + "\"\n");
    check(root.at("/qemu").string());
    EXPECT_TRUE(fs::exists(asked)) << "the configuration's own is the administrator's word";
    fs::remove(asked);
    check("/usr/bin/env"); // the system's
    EXPECT_TRUE(fs::exists(asked));
}

// --- the program that asks libvirt

TEST_F(XmlVerbs, WithoutTheHelperOnlyCheckIsMissed) {
    ::setenv("KATA_VFIO_LIBVIRT", "/nowhere/kata-vfio-libvirt", 1);
    const auto path = file(domain_with(""));
    const auto done = run({"xml", "check", path});
    EXPECT_EQ(done.status, 4);
    EXPECT_EQ(done.err,
              "kata-vfio: can't start /nowhere/kata-vfio-libvirt\n"
              "  the kernel said: No such file or directory\n"
              "  what to do: install the package kata-vfio-libvirt, or build where libvirt-dev is; "
              "only xml check needs it\n");
    EXPECT_EQ(run({"xml", "import", path}).status, 0);
    open();
    EXPECT_EQ(run({"xml", "export", "s1"}).status, 0);
}

TEST_F(XmlVerbs, TheLoadersWordsWhereLibvirtIsMissing) {
    helper(
        "echo 'kata-vfio-libvirt: error while loading shared libraries: libvirt.so.0: cannot open "
        "shared object file' >&2\nexit 127\n");
    const auto done = run({"xml", "check", file(domain_with(""))});
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.err, HasSubstr("xml check asks libvirt, which is not installed\n"));
    EXPECT_THAT(done.err, HasSubstr("libvirt.so.0: cannot open shared object file"));
    EXPECT_THAT(done.err, HasSubstr("only xml check needs it"));
}

TEST_F(XmlVerbs, AHelperThatFails) {
    const auto checked = [&](const std::string& script) {
        helper(script);
        const auto done = run({"xml", "check", file(domain_with(""))});
        EXPECT_EQ(done.out, "");
        return std::to_string(done.status) + " " + done.err;
    };
    EXPECT_THAT(checked("read line; echo words >&2; exit 3\n"),
                testing::AllOf(HasSubstr("4 kata-vfio: "), HasSubstr("has ended with status 3"),
                               HasSubstr("words")));
    EXPECT_THAT(checked("read line; kill -9 $$\n"), HasSubstr("has ended by signal 9"));
    EXPECT_THAT(checked("read line; echo '{\"li'; read line\n"),
                HasSubstr("answers something else than this command expects"));
    EXPECT_THAT(
        checked("read line; echo '{\"error\":{\"status\":400,\"problem\":\"libvirt'\"'\"'s QEMU "
                "driver can'\"'\"'t be used\",\"said\":\"no driver\",\"remedy\":\"install it\"}}'"
                "; read line\n"),
        testing::AllOf(HasSubstr("libvirt's QEMU driver can't be used"), HasSubstr("no driver"),
                       HasSubstr("what to do: install it")));
}

/// Where the helper's directory is made, of this test alone: others run at the same time.
struct HelperDirectories {
    explicit HelperDirectories(const fs::path& path) : own(path) {
        fs::create_directories(own);
        ::setenv("TMPDIR", own.c_str(), 1);
    }
    ~HelperDirectories() { ::unsetenv("TMPDIR"); }
    std::ptrdiff_t left() const {
        return std::distance(fs::directory_iterator(own), fs::directory_iterator());
    }
    fs::path own;
};

TEST_F(XmlVerbs, ALimitOfTimeEndsTheHelperAndClearsUp) {
    const HelperDirectories directories(root.at("/tmp"));
    const auto mark = root.at("/ended").string();
    helper("trap 'touch " + mark +
           "; exit' TERM\nread line\nwhile :; do read line || sleep 0.05; done\n");
    {
        LibvirtHelper asked(std::chrono::milliseconds(300));
        EXPECT_EQ(directories.left(), 2) << "its directory and its log";
        try {
            asked.ask({});
            ADD_FAILURE() << "it has not answered";
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.code(), Errc::host_timeout);
            EXPECT_THAT(failure.what(), HasSubstr("libvirt has not answered within 300 ms"));
        }
    }
    EXPECT_TRUE(fs::exists(mark));
    EXPECT_EQ(directories.left(), 0);

    // More than a pipe holds, and nobody who reads it.
    helper("trap exit TERM\nwhile :; do sleep 0.05; done\n");
    LibvirtHelper deaf(std::chrono::milliseconds(200));
    EXPECT_THROW(deaf.ask({{"xml", std::string(1 << 20, 'x')}}), Failure);
}

TEST_F(XmlVerbs, CtrlCGivesUp) {
    const HelperDirectories directories(root.at("/tmp"));
    helper("trap 'exit' TERM\nread line\nkill -INT $PPID\nwhile :; do read line || sleep 0.05; "
           "done\n");
    const auto done = run({"xml", "check", file(domain_with(""))});
    EXPECT_EQ(done.status, 130);
    EXPECT_THAT(done.err, HasSubstr("nothing was changed"));
    EXPECT_EQ(directories.left(), 0);
}

TEST(LibvirtHelperPlace, BesideTheCommandOrWhereItIsInstalled) {
    const auto at = [](const std::string& there) {
        return [there](const fs::path& path) { return path == there; };
    };
    EXPECT_EQ(choose_helper("/x", "/usr/bin", "lib", at("")), "/x");
    EXPECT_EQ(choose_helper("", "/b/bin", "lib", at("/b/bin/kata-vfio-libvirt")),
              "/b/bin/kata-vfio-libvirt");
    EXPECT_EQ(choose_helper(nullptr, "/usr/bin", "lib/x86_64-linux-gnu",
                            at("/usr/lib/x86_64-linux-gnu/kata-vfio/kata-vfio-libvirt")),
              "/usr/lib/x86_64-linux-gnu/kata-vfio/kata-vfio-libvirt");
    EXPECT_EQ(choose_helper(nullptr, "/usr/bin", "lib", at("/elsewhere")), "");
}

} // namespace
} // namespace kata_vfio::cli
