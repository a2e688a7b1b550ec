// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/policy.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio::qemu;

TEST(ProxyPolicy, ReadOnlyPassesWhatOnlyLooks) {
    const ProxyPolicy policy(ProxyMode::read_only);
    for (const auto* command :
         {"query-status", "query-qmp-schema", "query-anything-new", "qom-list", "qom-get",
          "qom-list-types", "qom-list-properties", "device-list-properties"})
        EXPECT_EQ(policy.refusal(command), std::nullopt) << command;
}

TEST(ProxyPolicy, ReadOnlyRefusesEverythingElse) {
    const ProxyPolicy policy(ProxyMode::read_only);
    for (const auto* command : {"quit", "stop", "device_add", "device_del", "system_reset",
                                "migrate", "object-add", "qom-set", "human-monitor-command",
                                "getfd", "QUERY-STATUS", "query", "", "xquery-status", "qom-list2"})
        EXPECT_TRUE(policy.refusal(command)) << command;
    EXPECT_EQ(policy.refusal("quit"),
              "Command quit has been disabled: the proxy is read-only; [vfio] qmp_proxy = "
              "\"unsafe\" lets it pass");
}

TEST(ProxyPolicy, UnsafePassesEverything) {
    const ProxyPolicy policy(ProxyMode::unsafe);
    for (const auto* command :
         {"quit", "device_add", "query-status", "no-such-command", "getfd", "add-fd"})
        EXPECT_EQ(policy.refusal(command), std::nullopt) << command;
    EXPECT_TRUE(policy.takes_descriptors());
    EXPECT_FALSE(ProxyPolicy(ProxyMode::read_only).takes_descriptors());
}
