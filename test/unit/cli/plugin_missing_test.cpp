// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

struct PluginMissing : testing::Test {
    ~PluginMissing() override { ::unsetenv("KATA_VFIO_PLUGIN"); }
};

TEST_F(PluginMissing, ALibraryThatIsNotThereIsNamedWithTheLinkersWords) {
    ::setenv("KATA_VFIO_PLUGIN", "/nowhere/libkata_vfio.so", 1);
    const auto run = command({"list", "--json"});
    EXPECT_EQ(run.status, 4);
    EXPECT_EQ(run.json().at("error").at("name"), "host_io");
    EXPECT_THAT(run.err, testing::HasSubstr("can't load the plugin /nowhere/libkata_vfio.so\n"));
    EXPECT_THAT(run.err, testing::HasSubstr("No such file or directory"));
    EXPECT_THAT(run.err, testing::HasSubstr("KATA_VFIO_PLUGIN"));
}

TEST_F(PluginMissing, ALibraryThatIsNoPluginIsRefused) {
    ::setenv("KATA_VFIO_PLUGIN", "libz.so.1", 1);
    const auto run = command({"list"});
    EXPECT_EQ(run.status, 4);
    EXPECT_THAT(run.err, testing::HasSubstr("kata_vfio_entry"));
}

} // namespace
} // namespace kata_vfio::cli
