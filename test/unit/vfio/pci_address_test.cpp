// SPDX-License-Identifier: Apache-2.0
#include "vfio/pci_address.hpp"

#include "expect_failure.hpp"

using namespace kata_vfio;
using namespace kata_vfio::vfio;
using testing::HasSubstr;

TEST(PciAddress, RoundTrips) {
    for (const char* text : {"0000:00:02.0", "ffff:ff:1f.7", "10000:e1:00.0"}) {
        const auto address = PciAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->text(), text);
    }
    EXPECT_EQ(PciAddress::require("0000:AB:02.0").text(), "0000:ab:02.0");
}

TEST(PciAddress, RefusesEverythingElse) {
    for (const char* text :
         {"", "00:02.0", "0000:00:20.0", "0000:00:02.8", "0000:00:02", "0000:00:02.0 ",
          " 0000:00:02.0", "0000:00:02.0\n", "000:00:02.0", "0000:0:02.0", "0000:00:2.0",
          "0000:00:02.00", "0x00:00:02.0", "0000:00:02.-", "0000:00:+2.0", "0000:00:02.0/..",
          "123456789:00:02.0"})
        EXPECT_FALSE(PciAddress::parse(text)) << text;
}

TEST(PciAddress, MissingDomainIsNamed) {
    EXPECT_EQ(test::failure_text(Errc::malformed_address, [] { PciAddress::require("00:02.0"); }),
              "'00:02.0' is not a PCI address; put the domain in front: 0000:00:02.0");
    EXPECT_THAT(
        test::failure_text(Errc::malformed_address, [] { PciAddress::require("0000:00:2\n"); }),
        HasSubstr("'0000:00:2\\x0a' is not a PCI address; write it as lspci -D does"));
}
