// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/oci/spec.hpp"

#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::shim::oci {
namespace {

// As `ctr run --device /dev/vfio/42` writes it, shortened.
constexpr const char* of_ctr = R"({"ociVersion":"1.0.2","process":{"terminal":true,
"consoleSize":{"height":24,"width":80},"user":{"uid":1,"gid":2,"additionalGids":[3]},
"args":["lspci","-nn"],"env":["PATH=/bin"],"cwd":"/","capabilities":{"bounding":["CAP_CHOWN",
"CAP_CHECKPOINT_RESTORE","CAP_OF_TOMORROW"],"effective":null},
"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":512}],"noNewPrivileges":true},
"root":{"path":"rootfs"},"hostname":"box","mounts":[{"destination":"/proc","type":"proc",
"source":"proc","options":["nosuid"]}],"linux":{"devices":[{"path":"/dev/vfio/42","type":"c",
"major":511,"minor":42,"fileMode":8576,"uid":0,"gid":0}],"maskedPaths":["/proc/kcore"],
"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}})";

std::string with_annotations(const std::string& json) {
    return R"({"process":{"user":{},"args":["x"],"cwd":"/"},"annotations":)" + json + "}";
}
std::string failure_of(const std::string& text) {
    try {
        parse_spec(text);
    } catch (const ttrpc::Error& error) {
        EXPECT_EQ(error.code(), ttrpc::Code::invalid_argument);
        return error.what();
    }
    return "";
}

TEST(OciSpec, OfCtr) {
    const auto spec = parse_spec(of_ctr);
    EXPECT_EQ(spec.kind, Kind::single);
    EXPECT_EQ(spec.root_path, "rootfs");
    EXPECT_EQ(spec.process.args.size(), 2u);
    EXPECT_EQ(spec.process.rows, 24);
    EXPECT_EQ(spec.process.groups.at(0), 3u);
    EXPECT_EQ(spec.process.capabilities.bounding, (std::uint64_t{1} << 40) | 1);
    EXPECT_EQ(spec.process.capabilities.effective, 0u);
    EXPECT_EQ(spec.process.limits.at(0).resource, 7);
    EXPECT_EQ(spec.process.limits.at(0).soft, 512u);
    ASSERT_EQ(spec.devices.size(), 1u);
    EXPECT_EQ(spec.devices[0].major, 511u);
    EXPECT_EQ(spec.devices[0].mode, 0600u); // 8576 has the file's type in it
    EXPECT_EQ(spec.masked.at(0), "/proc/kcore");
}

TEST(OciSpec, LimitsAndWhatIsShared) {
    const auto spec = parse_spec(
        R"({"process":{"user":{},"args":["x"],"cwd":"/"},"linux":{"namespaces":[{"type":"mount"},)"
        R"({"type":"pid"},{"type":"ipc","path":"/proc/7/ns/ipc"}],"resources":{)"
        R"("memory":{"limit":100,"swap":150},"cpu":{"shares":1024,"quota":50000,"period":20000},)"
        R"("pids":{"limit":-1}}}})");
    EXPECT_FALSE(spec.shares_pids);
    EXPECT_TRUE(spec.shares_ipc);
    EXPECT_EQ(spec.limits.memory, 100u);
    EXPECT_EQ(spec.limits.swap, 50u); // OCI's is both together
    EXPECT_EQ(spec.limits.cpu_quota, 50000u);
    EXPECT_EQ(spec.limits.cpu_period, 20000u);
    EXPECT_EQ(spec.limits.cpu_weight, 39u);
    EXPECT_FALSE(spec.limits.processes);
    EXPECT_EQ(parse_resources(R"({"memory":{"limit":0},"cpu":{"quota":-1}})"),
              agent::ResourceLimits());
}

TEST(OciSpec, WeightsAreThoseOfRunc) {
    EXPECT_EQ(cpu_weight(0), 1u);
    EXPECT_EQ(cpu_weight(2), 1u);
    EXPECT_EQ(cpu_weight(262144), 10000u);
    EXPECT_EQ(cpu_weight(UINT64_MAX), 10000u);
}

TEST(OciSpec, PrivilegedIsWhereEveryDeviceIsAllowed) {
    const auto with = [](const std::string& rules) {
        return parse_spec(R"({"process":{"user":{},"args":["x"],"cwd":"/"},"linux":{"resources":{)"
                          R"("devices":[)" +
                          rules + "]}}}")
            .all_devices;
    };
    EXPECT_TRUE(with(R"({"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"})"));
    EXPECT_FALSE(with(R"({"allow":false,"access":"rwm"})"));
    EXPECT_FALSE(with(R"({"allow":true,"type":"c","major":1,"minor":3})"));
    EXPECT_FALSE(with(R"({"allow":true,"type":"c","major":136})"));
}

TEST(OciSpec, KindsOfCri) {
    const auto pod = parse_spec(with_annotations(
        R"({"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-id":"p1"})"));
    EXPECT_EQ(pod.kind, Kind::sandbox);
    EXPECT_EQ(pod.sandbox_id, "p1");
    const auto inner = parse_spec(with_annotations(
        R"({"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"p1"})"));
    EXPECT_EQ(inner.kind, Kind::container);
    EXPECT_NE(failure_of(with_annotations(R"({"io.kubernetes.cri.container-type":"pod"})")), "");
    EXPECT_NE(failure_of(with_annotations(
                  R"({"io.kubernetes.cri.container-type":"container",
                      "io.kubernetes.cri.sandbox-id":"../x"})")),
              "");
}

TEST(OciSpec, SaysWhatIsWrong) {
    EXPECT_NE(failure_of("").find("no JSON"), std::string::npos);
    EXPECT_NE(failure_of("{}").find("process"), std::string::npos);
    EXPECT_NE(failure_of(R"({"process":{"user":{},"args":[],"cwd":"/"}})").find("args"),
              std::string::npos);
    EXPECT_NE(failure_of(R"({"process":{"user":{},"args":["x"],"cwd":"x"}})").find("cwd"),
              std::string::npos);
    EXPECT_NE(failure_of(R"({"process":{"user":{"uid":-1},"args":["x"],"cwd":"/"}})").find("uid"),
              std::string::npos);
    EXPECT_NE(failure_of(std::string((4u << 20) + 1, ' ')).find("4 MiB"), std::string::npos);
    EXPECT_NE(failure_of(std::string(50, '[')), "");
}

TEST(OciSpec, SizeOfAPod) {
    const auto size = pod_size({{"io.kubernetes.cri.sandbox-cpu-quota", "150000"},
                                {"io.kubernetes.cri.sandbox-cpu-period", "100000"},
                                {"io.kubernetes.cri.sandbox-memory", "104857601"}});
    EXPECT_EQ(size.vcpus, 2);
    EXPECT_EQ(size.memory_mib, 101);
    EXPECT_EQ(pod_size({{"io.kubernetes.cri.sandbox-memory", "-1"}}).memory_mib, 0);
    EXPECT_EQ(pod_size({{"io.kubernetes.cri.sandbox-cpu-quota", "x"}}).vcpus, 0);
}

} // namespace
} // namespace kata_vfio::shim::oci
