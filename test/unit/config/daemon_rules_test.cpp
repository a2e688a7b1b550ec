// SPDX-License-Identifier: Apache-2.0
#include "config/validate.hpp"

#include <gtest/gtest.h>

namespace kata_vfio::config {
namespace {

/// The daemon's findings, as "key: text"; "" when there are none.
std::string found(const Configuration& configuration) {
    std::string all;
    for (const auto& finding : validate_daemon(configuration)) {
        EXPECT_EQ(finding.code, Errc::config_invalid);
        EXPECT_FALSE(finding.remedy.empty());
        all += finding.key + ": " + finding.text + "\n";
    }
    return all;
}

Configuration with(const std::function<void(Daemon&)>& set) {
    Configuration configuration;
    set(configuration.vfio.daemon);
    return configuration;
}

TEST(DaemonRules, TheDefaultsAreGood) {
    EXPECT_EQ(found({}), "");
}

TEST(DaemonRules, TcpOnlyWithAllThreeFiles) {
    auto configuration = with([](Daemon& d) { d.tcp = "[::1]:9640"; });
    auto& d = configuration.vfio.daemon;
    for (auto* file : {&d.tls_certificate, &d.tls_key, &d.tls_client_ca}) {
        EXPECT_NE(found(configuration), "");
        *file = "relative.pem";
        EXPECT_NE(found(configuration), "");
        *file = "/etc/x.pem";
    }
    EXPECT_EQ(found(configuration), "");
    for (const auto* address :
         {"9640", ":9640", "host:", "host:0", "host:65536", "host:9x", "::1:9"}) {
        d.tcp = address;
        EXPECT_NE(found(configuration).find("is not HOST:PORT"), std::string::npos) << address;
    }
}

TEST(DaemonRules, UidsAreNumbers) {
    EXPECT_EQ(found(with([](Daemon& d) { d.allowed_uids = {"0", "1000", "4294967294"}; })), "");
    for (const auto* uid : {"", "root", "-1", "1000 ", "4294967295", "99999999999"})
        EXPECT_NE(found(with([&](Daemon& d) { d.allowed_uids = {"0", uid}; })), "") << uid;
}

TEST(DaemonRules, SocketAndMetricsAreAddresses) {
    for (const auto& path : {std::string("d.sock"), std::string("/"), std::string("/run/"),
                             "/" + std::string(107, 'x')})
        EXPECT_NE(found(with([&](Daemon& d) { d.socket = path; })), "") << path;
    for (const auto* address : {"127.0.0.1:9641", "unix:/run/m.sock", ""})
        EXPECT_EQ(found(with([&](Daemon& d) { d.metrics = address; })), "") << address;
    for (const auto* address : {"9641", "unix:m.sock", "unix:", "http://x:1"})
        EXPECT_NE(found(with([&](Daemon& d) { d.metrics = address; })), "") << address;
}

TEST(DaemonRules, NoDeviceIsRefusedForThem) {
    auto configuration = with([](Daemon& d) { d.socket = "relative"; });
    configuration.hypervisor.hotplug_vfio_on_root_bus = true;
    EXPECT_EQ(validate(configuration).size(), 0u);
}

} // namespace
} // namespace kata_vfio::config
