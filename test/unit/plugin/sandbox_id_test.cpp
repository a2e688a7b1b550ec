// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::HasSubstr;

TEST(SandboxId, TakesWhatContainerdMakes) {
    for (const std::string_view id :
         {"a", "0", "sb1", "k8s.io_pod-1", "A-Z_a.z-0",
          "4e64d9a3b0b39a0d63b1bbf4b0f8c1dc86ad2b0b7e7d57f1dd7a7cdbb7a6c6f2"})
        EXPECT_EQ(require_sandbox_id(id), id);
    EXPECT_EQ(require_sandbox_id(std::string(128, 'x')).size(), 128u);
}

struct Refused {
    std::string id;
    const char* why;
};
class RefusedIds : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedIds, SayWhy) {
    const auto failure = failure_of([] { require_sandbox_id(GetParam().id); });
    EXPECT_EQ(failure.code(), Errc::malformed_sandbox_id);
    EXPECT_THAT(failure.problem(), HasSubstr("can't be a sandbox id: "));
    EXPECT_THAT(failure.problem(), ::testing::EndsWith(GetParam().why));
    EXPECT_LT(failure.problem().size(), 200u); // whatever was given
}

INSTANTIATE_TEST_SUITE_P(
    SandboxId, RefusedIds,
    ::testing::Values(Refused{"", "it is empty"}, Refused{".", "it starts with '.'"},
                      Refused{"..", "it starts with '.'"}, Refused{"-rf", "it starts with '-'"},
                      Refused{"/etc", "it starts with '/'"}, Refused{"a/../b", "it has '/' in it"},
                      Refused{"a b", "it has ' ' in it"}, Refused{"a\n", "it has '\\x0a' in it"},
                      Refused{std::string("a\0b", 3), "it has '\\x00' in it"},
                      Refused{"\xc3\xa4", "it starts with '\\xc3'"},
                      Refused{std::string(129, 'x'), "it has 129 characters"},
                      Refused{std::string(300, 'x'), "it has 300 characters"}));

} // namespace
} // namespace kata_vfio::plugin
