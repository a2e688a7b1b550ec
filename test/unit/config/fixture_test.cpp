// SPDX-License-Identifier: Apache-2.0
// good/*.toml load without a word; bad/*.toml are answered with the text in bad/*.expected
// (KATA_VFIO_REGENERATE=1 writes those).
#include "config/load.hpp"
#include "config/validate.hpp"
#include "support.hpp"

#include <algorithm>
#include <vector>

using namespace kata_vfio;
using namespace kata_vfio::config;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_in(const char* folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(fixtures / folder))
        if (entry.path().extension() == ".toml")
            files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

/// The failure, or the warnings and then every rule broken, a line each.
std::string answer(const fs::path& file) {
    std::string text = thrown([&] { load(file); });
    if (text.empty()) {
        const auto configuration = load(file);
        for (const auto& warning : configuration.warnings)
            text += "warning: " + warning.str() + "\n";
        for (const auto& finding : validate(configuration))
            text += std::string(name(finding.code)) + ": " + finding.failure().what() + "\n";
    } else {
        text += "\n";
    }
    const auto prefix = file.parent_path().string() + "/";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
        text.erase(at, prefix.size());
    return text;
}

} // namespace

class Good : public testing::TestWithParam<fs::path> {};
class Bad : public testing::TestWithParam<fs::path> {};

TEST_P(Good, LoadsWithoutAWarning) {
    EXPECT_EQ(thrown([] { load(GetParam()); }), "");
    for (const auto& warning : load(GetParam()).warnings)
        ADD_FAILURE() << warning.str();
}

TEST_P(Bad, IsAnsweredAsExpected) {
    auto expected = GetParam();
    expected.replace_extension(".expected");
    const auto text = answer(GetParam());
    ASSERT_NE(text, "") << "nothing is wrong with this file";
    if (regenerate())
        std::ofstream(expected) << text;
    EXPECT_EQ(text, slurp(expected));
}

static std::string case_name(const testing::TestParamInfo<fs::path>& info) {
    std::string name = info.param.stem().string();
    std::ranges::replace_if(
        name, [](unsigned char c) { return !std::isalnum(c); }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Fixture, Good, testing::ValuesIn(files_in("good")), case_name);
INSTANTIATE_TEST_SUITE_P(Fixture, Bad, testing::ValuesIn(files_in("bad")), case_name);

TEST(Stock, OnlyTheRootBusKeepsKatasOwnFileFromUse) {
    for (const auto* name : {"kata-1.x.toml", "kata-2.1.toml"}) {
        const auto findings = validate(load(fixtures / "good" / name));
        ASSERT_EQ(findings.size(), 1u) << name;
        EXPECT_EQ(findings[0].code, Errc::root_bus_off);
        EXPECT_NE(findings[0].at.line, 0u) << "the commented-out line is there";
    }
    for (const auto* name : {"kata-3.x.toml", "vfio.toml", "minimal.toml"})
        EXPECT_EQ(thrown([&] { enforce(load(fixtures / "good" / name)); }), "") << name;
}

TEST(Stock, ValuesArrive) {
    const auto c = load(fixtures / "good" / "kata-3.x.toml");
    EXPECT_EQ(c.hypervisor.path, "/opt/kata/bin/qemu-system-x86_64");
    EXPECT_EQ(c.hypervisor.machine_type, "pc-i440fx-7.2");
    EXPECT_EQ(c.hypervisor.default_vcpus, 2) << "1.5 is rounded up";
    EXPECT_TRUE(c.hypervisor.hotplug_vfio_on_root_bus);
    EXPECT_EQ(c.hypervisor.enable_annotations.size(), 3u);
    EXPECT_EQ(c.agent.kernel_modules, std::vector<std::string>{"i915 enable_ppgtt=0"});
    EXPECT_EQ(c.runtime.vfio_mode, "vfio");
    EXPECT_TRUE(c.runtime.sandbox_cgroup_only);
    EXPECT_EQ(c.vfio.timeouts.device_add, std::chrono::seconds(30)) << "a default";
}

TEST(Stock, OurOwnKeysArrive) {
    const auto v = load(fixtures / "good" / "vfio.toml").vfio;
    using std::chrono::milliseconds;
    EXPECT_EQ(v.state_dir, "/run/other");
    EXPECT_EQ(v.allowed_types, (std::vector<std::string>{"i915-GVTg_V4_*", "i915-GVTg_V5_8"}));
    EXPECT_EQ(v.allowed_parents, std::vector<std::string>{"0000:00:02.0"});
    EXPECT_TRUE(v.allowed_devices.empty());
    EXPECT_EQ(v.allowed_guest_files, std::vector<std::string>{"/usr/share/kata-containers/*"});
    EXPECT_TRUE(v.qmp_log);
    EXPECT_EQ(v.qmp_log_max_bytes, 65536);
    EXPECT_EQ(v.qmp_log_files, 2);
    EXPECT_EQ(v.qmp_log_redact, (std::vector<std::string>{"password", "arguments.secret"}));
    EXPECT_EQ(v.iommufd, "auto");
    EXPECT_EQ(v.timeouts.greeting, milliseconds(600000));
    EXPECT_EQ(v.timeouts.query, milliseconds(1001));
    EXPECT_EQ(v.timeouts.device_add, milliseconds(1002));
    EXPECT_EQ(v.timeouts.device_del, milliseconds(1003));
    EXPECT_EQ(v.timeouts.unplug, milliseconds(1004));
    EXPECT_EQ(v.timeouts.unplug_resend, milliseconds(1000));
    EXPECT_EQ(v.timeouts.host_write, milliseconds(1005));
    EXPECT_EQ(v.timeouts.device_node, milliseconds(1006));
}
