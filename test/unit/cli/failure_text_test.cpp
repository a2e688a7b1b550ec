// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/failure_text.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace kata_vfio::cli {
namespace {

TEST(FailureText, EachPartOnALineOfItsOwn) {
    auto failure = Failure(Errc::group_not_viable, "IOMMU group 4 is not viable")
                       .said("Operation not permitted")
                       .blocked_by("0000:00:1f.2 is bound to ahci")
                       .remedy("unbind it");
    failure.during("attach 0000:00:1f.3 to sandbox s1");
    EXPECT_EQ(failure_text(failure),
              "kata-vfio: attach 0000:00:1f.3 to sandbox s1: IOMMU group 4 is not viable\n"
              "  the kernel said: Operation not permitted\n"
              "  blocked by: 0000:00:1f.2 is bound to ahci\n"
              "  what to do: unbind it\n");
}

TEST(FailureText, NamesWhoSaidIt) {
    const auto said = [](Errc code) {
        const auto text = failure_text(Failure(code, "p").said("w"));
        return text.substr(text.find("  "));
    };
    EXPECT_EQ(said(Errc::qemu_refused), "  QEMU said: w\n");
    EXPECT_EQ(said(Errc::unplug_timeout), "  QEMU said: w\n");
    EXPECT_EQ(said(Errc::host_timeout), "  the kernel said: w\n");
    EXPECT_EQ(said(Errc::bind_failed), "  the kernel said: w\n");
    EXPECT_EQ(said(Errc::internal), "  reason: w\n");
    for (const auto code : {Errc::monitor_missing, Errc::monitor_refused, Errc::monitor_busy})
        EXPECT_EQ(said(code), "  the kernel said: w\n");
    EXPECT_EQ(said(Errc::qemu_gone), "  reason: w\n");
    EXPECT_EQ(failure_text(Failure(Errc::qemu_gone, "p").sys(ECONNRESET)),
              "kata-vfio: p\n  the kernel said: Connection reset by peer\n");
}

TEST(FailureText, LaterLinesAreSetInAndControlBytesShown) {
    EXPECT_EQ(failure_text(Failure(Errc::config_invalid, "one\nkata-vfio: forged\033[1m\n")),
              "kata-vfio: one\n    kata-vfio: forged?[1m\n");
}

} // namespace
} // namespace kata_vfio::cli
