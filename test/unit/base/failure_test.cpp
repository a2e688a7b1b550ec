// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

using namespace kata_vfio;

TEST(Failure, JoinsItsPartsOnceEach) {
    Failure failure(Errc::group_not_viable, "IOMMU group 4 is not viable");
    failure.said("Operation not permitted")
        .blocked_by("0000:00:1f.2 is bound to ahci")
        .remedy("bind it to vfio-pci")
        .during("attach 0000:00:1f.3");
    EXPECT_STREQ(failure.what(),
                 "attach 0000:00:1f.3: IOMMU group 4 is not viable: Operation not permitted "
                 "(blocked by 0000:00:1f.2 is bound to ahci); bind it to vfio-pci");
    failure.during("sandbox s1");
    EXPECT_EQ(failure.action(), "sandbox s1: attach 0000:00:1f.3");
}

TEST(Failure, HostErrnoKeepsTheNumberAndTheWords) {
    const auto denied = host_failure(EACCES, "can't open x");
    EXPECT_EQ(denied.code(), Errc::permission_denied);
    EXPECT_EQ(denied.sys_errno(), EACCES);
    EXPECT_EQ(denied.verbatim(), "Permission denied");
    EXPECT_EQ(host_failure(ENOSPC, "x").code(), Errc::host_io);
}

TEST(Failure, ForeignExceptionsAreInternal) {
    EXPECT_EQ(code_of(std::make_exception_ptr(std::bad_alloc())), Errc::internal);
    EXPECT_EQ(code_of(std::make_exception_ptr(Failure(Errc::no_iommu, "x"))), Errc::no_iommu);
    EXPECT_EQ(code_of(nullptr), Errc::ok);
}

TEST(Errc, NumbersNamesAndExitStatusesAreFixed) {
    std::set<std::string_view> names;
    int last = -1;
    for (const auto* row = errc_begin(); row != errc_end(); ++row) {
        EXPECT_GT(static_cast<int>(row->code), last) << row->name;
        last = static_cast<int>(row->code);
        EXPECT_TRUE(names.insert(row->name).second) << row->name;
        EXPECT_FALSE(row->meaning.empty());
    }
    EXPECT_EQ(exit_status(Errc::ok), 0);
    EXPECT_EQ(exit_status(Errc::internal), 1);
    EXPECT_EQ(exit_status(Errc::malformed_uuid), 2);
    EXPECT_EQ(exit_status(Errc::root_bus_off), 3);
    EXPECT_EQ(exit_status(Errc::no_iommu), 4);
    EXPECT_EQ(exit_status(Errc::monitor_busy), 5);
    EXPECT_EQ(exit_status(Errc::unplug_timeout), 6);
    EXPECT_EQ(exit_status(Errc::cancelled), 130);
    EXPECT_EQ(name(static_cast<Errc>(12345)), "unknown");
    EXPECT_EQ(make_error_code(Errc::no_iommu).message(), "the host has no IOMMU groups");
}
