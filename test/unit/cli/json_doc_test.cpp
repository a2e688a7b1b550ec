// SPDX-License-Identifier: Apache-2.0
// docs/json.md names every key that the host verbs print.
#include "command.hpp"
#include "config/base/file.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>

#include <set>

namespace kata_vfio::cli {
namespace {

namespace json = boost::json;

void collect(const json::value& value, std::set<std::string>& keys) {
    if (value.is_array())
        for (const auto& each : value.as_array())
            collect(each, keys);
    if (!value.is_object())
        return;
    for (const auto& [key, inner] : value.as_object()) {
        keys.insert(std::string(key));
        if (key != "values") // the configuration's own keys are docs/configuration.md's
            collect(inner, keys);
    }
}

TEST(JsonDoc, NamesEveryKey) {
    ::unsetenv("KATA_CONF_FILE");
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.populate_function({.address = "0000:00:02.1", .driver = "snd_hda_intel", .group = 1});
    root.write("/etc/kata-containers/configuration.toml",
               "[hypervisor.qemu]\nmachine_type = \"q35\"\nunknown_key = 1\n");
    root.write("/s1.xml", "<domain type='kvm'><name>s1</name><os><type machine='pc'>hvm</type></os>"
                          "<devices><hostdev type='pci' managed='yes'><source><address slot='2'/>"
                          "</source></hostdev></devices></domain>");
    root.write("/boot/guest.config", "CONFIG_DRM=y\n");
    root.write("/boot/vmlinux", "CONFIG_DRM=y\n");
    fake::FakeKernel kernel(root);
    std::set<std::string> keys;
    const std::vector<std::vector<std::string>> commands{
        {"gpus", "--all"},
        {"types"},
        {"create", "i915-GVTg_V4_8"},
        {"vgpus"},
        {"topology", "--all"},
        {"xml", "import", root.at("/s1.xml").string()},
        {"xml", "export", "--nodedev", "0000:00:02.0"},
        {"bind", "0000:00:02.0"},
        {"restore", "0000:00:02.0"},
        {"check"},
        {"check", "--guest-kernel", root.at("/boot/guest.config").string()},
        {"config", "set-kernel", "/boot/vmlinux"},
        {"config", "check"},
        {"config", "show"},
        {"config", "enable"},
        {"remove", "bad"}};
    for (auto args : commands) {
        args.insert(args.begin(), {"--root", root.path().string(), "--json"});
        const auto run = command(args);
        ASSERT_FALSE(run.out.empty()) << args[3] << ": " << run.err;
        collect(json::parse(run.out), keys);
    }
    EXPECT_GT(keys.size(), 60u);
    const auto doc = read_file(std::string(test::source_dir) + "/docs/json.md").value();
    for (const auto& key : keys)
        EXPECT_TRUE(doc.find("`" + key + "`") != std::string::npos ||
                    doc.find("\"" + key + "\"") != std::string::npos)
            << key;
}

} // namespace
} // namespace kata_vfio::cli
