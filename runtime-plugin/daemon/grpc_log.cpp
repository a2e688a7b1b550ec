// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/grpc_log.hpp"

#include "runtime-plugin/daemon/log.hpp"

#include <grpc/support/log.h>

namespace kata_vfio::daemon {
namespace {

/// In front of OpenSSL's words.
constexpr std::string_view handshake = "Handshake failed with fatal error ";

} // namespace

std::optional<std::string> GrpcLines::line(std::string_view message, Clock::time_point now) {
    if (!message.starts_with(handshake))
        return "gRPC: " + std::string(message);
    std::string_view reason = message.substr(handshake.size());
    // "SSL_ERROR_SSL: error:0A0000C7:SSL routines::peer did not return a certificate."
    if (const auto routine = reason.rfind("::"); routine != std::string_view::npos)
        reason.remove_prefix(routine + 2);
    if (reason.ends_with('.'))
        reason.remove_suffix(1);

    const std::lock_guard lock(mutex_);
    const auto found = told_.find(reason);
    std::string rest;
    if (found != told_.end()) {
        if (now - found->second.at < std::chrono::minutes(1)) {
            ++found->second.left_out;
            return std::nullopt;
        }
        if (found->second.left_out > 0)
            rest =
                ", and " + std::to_string(found->second.left_out) + " more since it was last told";
        found->second = {now};
    } else if (told_.size() < 64) {
        told_.emplace(reason, Told{now});
    } else {
        return std::nullopt;
    }
    return "refused: a client on TCP, in the TLS handshake: " + std::string(reason) + rest +
           " (told once a minute)";
}

void take_grpc_log() {
    gpr_set_log_function([](gpr_log_func_args* args) {
        static GrpcLines lines;
        if (const auto line = lines.line(args->message, GrpcLines::Clock::now()))
            log(line->starts_with("refused")               ? Level::warning
                : args->severity == GPR_LOG_SEVERITY_ERROR ? Level::error
                                                           : Level::info,
                *line);
    });
}

} // namespace kata_vfio::daemon
