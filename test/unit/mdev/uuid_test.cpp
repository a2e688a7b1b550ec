// SPDX-License-Identifier: Apache-2.0
#include "mdev/uuid.hpp"

#include "test/unit/vfio/expect_failure.hpp"

#include <set>

using namespace kata_vfio;
using namespace kata_vfio::mdev;
using testing::HasSubstr;

TEST(Uuid, RandomOnesAreValidAndDiffer) {
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const auto uuid = Uuid::random();
        EXPECT_EQ(Uuid::require(uuid.text()), uuid);
        EXPECT_TRUE(seen.insert(uuid.text()).second);
    }
}

TEST(Uuid, RefusalsSayWhy) {
    const auto refused = [](std::string_view text) {
        return test::failure_text(Errc::malformed_uuid, [&] { Uuid::require(text); });
    };
    EXPECT_EQ(refused("BBC4AAFE-5807-11e8-a43e-03533cceae7d"),
              "'BBC4AAFE-5807-11e8-a43e-03533cceae7d' is in upper case; sysfs names the device "
              "bbc4aafe-5807-11e8-a43e-03533cceae7d: use that");
    EXPECT_THAT(refused("00000000-0000-0000-0000-000000000000"), HasSubstr("is the nil UUID"));
    for (const char* text :
         {"", "bbc4aafe58071 1e8a43e03533cceae7d", "{bbc4aafe-5807-11e8-a43e-03533cceae7d}",
          "bbc4aafe-5807-11e8-a43e-03533cceae7d\n", "bbc4aafe-5807-11e8-a43e-03533cceae7g",
          "bbc4aafe058070110080a43e003533cceae7"})
        EXPECT_THAT(refused(text), HasSubstr("is not a UUID; write 8-4-4-4-12 lower-case hex"));
}
