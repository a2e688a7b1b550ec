// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/grpc_log.hpp"

#include "runtime-plugin/daemon/metrics.hpp"

#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace kata_vfio::daemon {
namespace {

using std::chrono::seconds;

// As gRPC 1.51 with OpenSSL 3 writes them.
constexpr std::string_view none = "Handshake failed with fatal error SSL_ERROR_SSL: "
                                  "error:0A0000C7:SSL routines::peer did not return a certificate.";
constexpr std::string_view strange = "Handshake failed with fatal error SSL_ERROR_SSL: "
                                     "error:0A000086:SSL routines::certificate verify failed.";

TEST(GrpcLines, EachReasonOnceAMinuteWithTheNumberThatWasLeftOut) {
    GrpcLines lines;
    const GrpcLines::Clock::time_point begin{};
    EXPECT_EQ(lines.line(none, begin), "refused: a client on TCP, in the TLS handshake: peer did "
                                       "not return a certificate (told once a minute)");
    EXPECT_EQ(lines.line(none, begin + seconds(1)), std::nullopt);
    EXPECT_EQ(lines.line(none, begin + seconds(59)), std::nullopt);
    EXPECT_EQ(lines.line(strange, begin + seconds(59)),
              "refused: a client on TCP, in the TLS handshake: certificate verify failed (told "
              "once a minute)");
    EXPECT_EQ(lines.line(none, begin + seconds(60)),
              "refused: a client on TCP, in the TLS handshake: peer did not return a certificate, "
              "and 2 more since it was last told (told once a minute)");
    EXPECT_EQ(lines.line(none, begin + seconds(120)),
              "refused: a client on TCP, in the TLS handshake: peer did not return a certificate "
              "(told once a minute)");
}

TEST(GrpcLines, ReasonsWithoutEndAreNotKept) {
    GrpcLines lines;
    int told = 0;
    for (int i = 0; i < 1000; ++i)
        told +=
            lines.line("Handshake failed with fatal error " + std::to_string(i), {}).has_value();
    EXPECT_EQ(told, 64);
}

TEST(GrpcLines, TheMetricsReasonIsOneOfTheFew) {
    EXPECT_EQ(handshake_reason(refused_handshake(none).value()), "no_certificate");
    EXPECT_EQ(handshake_reason(refused_handshake(strange).value()), "certificate_refused");
    EXPECT_EQ(refused_handshake("Too many pings"), std::nullopt);
    for (const char* words :
         {"peer did not return a certificate", "certificate verify failed", "wrong version number",
          "http request", "unsupported protocol", "whatever OpenSSL says next", ""})
        EXPECT_EQ(
            std::count(refused_reasons.begin(), refused_reasons.end(), handshake_reason(words)), 1)
            << words;
}

TEST(HandshakeCount, EachTryCountsAsLongAsSomebodyCounts) {
    take_grpc_log();
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR); // as gRPC's own start sets it
    std::vector<std::string> counted;
    const auto refuse = [](std::string_view message) {
        gpr_log_message(__FILE__, __LINE__, GPR_LOG_SEVERITY_ERROR, std::string(message).c_str());
    };
    {
        const HandshakeCount count([&](std::string_view reason) { counted.emplace_back(reason); });
        refuse(none);
        refuse(none);
        refuse("Too many pings");
        refuse(strange);
    }
    refuse(none);
    EXPECT_EQ(counted, (std::vector<std::string>{"no_certificate", "no_certificate",
                                                 "certificate_refused"}));
}

TEST(GrpcLines, AllElseIsItsOwnWords) {
    GrpcLines lines;
    for (int i = 0; i < 2; ++i)
        EXPECT_EQ(lines.line("Too many pings", {}), "gRPC: Too many pings");
}

} // namespace
} // namespace kata_vfio::daemon
