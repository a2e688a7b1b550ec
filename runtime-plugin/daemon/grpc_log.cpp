// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/grpc_log.hpp"

#include "runtime-plugin/daemon/log.hpp"

#include <grpc/support/log.h>

#include <array>
#include <utility>

namespace kata_vfio::daemon {
namespace {

/// In front of OpenSSL's words.
constexpr std::string_view handshake = "Handshake failed with fatal error ";

struct Counting {
    std::mutex mutex;
    std::function<void(std::string_view)> count;
};
Counting& counting() {
    // gRPC's threads outlive main().
    static auto* const one = new Counting;
    return *one;
}
void set_count(std::function<void(std::string_view)> count) {
    const std::lock_guard lock(counting().mutex);
    counting().count = std::move(count);
}

} // namespace

std::optional<std::string_view> refused_handshake(std::string_view message) noexcept {
    if (!message.starts_with(handshake))
        return std::nullopt;
    std::string_view words = message.substr(handshake.size());
    // "SSL_ERROR_SSL: error:0A0000C7:SSL routines::peer did not return a certificate."
    if (const auto routine = words.rfind("::"); routine != std::string_view::npos)
        words.remove_prefix(routine + 2);
    if (words.ends_with('.'))
        words.remove_suffix(1);
    return words;
}

std::string_view handshake_reason(std::string_view words) noexcept {
    // Of OpenSSL 3.0's ssl/ssl_err.c: what a client can be told to do something about.
    constexpr std::array<std::pair<std::string_view, std::string_view>, 7> table{{
        {"peer did not return a certificate", "no_certificate"},
        {"certificate verify failed", "certificate_refused"},
        {"wrong version number", "not_tls"},
        {"http request", "not_tls"},
        {"https proxy request", "not_tls"},
        {"unsupported protocol", "tls_version"},
        {"no shared cipher", "tls_version"},
    }};
    for (const auto& [said, reason] : table)
        if (words == said)
            return reason;
    return "handshake_failed";
}

std::optional<std::string> GrpcLines::line(std::string_view message, Clock::time_point now) {
    const auto words = refused_handshake(message);
    if (!words)
        return "gRPC: " + std::string(message);

    const std::lock_guard lock(mutex_);
    const auto found = told_.find(*words);
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
        told_.emplace(*words, Told{now});
    } else {
        return std::nullopt;
    }
    return "refused: a client on TCP, in the TLS handshake: " + std::string(*words) + rest +
           " (told once a minute)";
}

void take_grpc_log() {
    gpr_set_log_function([](gpr_log_func_args* args) {
        static GrpcLines lines;
        if (const auto words = refused_handshake(args->message)) {
            const std::lock_guard lock(counting().mutex);
            if (counting().count)
                counting().count(handshake_reason(*words));
        }
        if (const auto line = lines.line(args->message, GrpcLines::Clock::now()))
            log(line->starts_with("refused")               ? Level::warning
                : args->severity == GPR_LOG_SEVERITY_ERROR ? Level::error
                                                           : Level::info,
                *line);
    });
}

HandshakeCount::HandshakeCount(std::function<void(std::string_view)> count) {
    set_count(std::move(count));
}

HandshakeCount::~HandshakeCount() {
    set_count({});
}

} // namespace kata_vfio::daemon
