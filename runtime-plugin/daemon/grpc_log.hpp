// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::daemon {

/// OpenSSL's words for a TLS handshake that was refused, "certificate verify failed"; none when
/// gRPC's `message` tells of something else. A part of `message`.
std::optional<std::string_view> refused_handshake(std::string_view message) noexcept;
/// The metric's reason for OpenSSL's words: one of refused_reasons (metrics.hpp).
std::string_view handshake_reason(std::string_view words) noexcept;

/// What becomes of gRPC's own log lines. A TCP client without a valid certificate is refused in the
/// TLS handshake, where gRPC gives its user neither a hook nor the client's address: its log line
/// (gRPC 1.51, ssl_transport_security.cc) is all that there is of it. Whoever is refused may try as
/// often as it likes, so that each reason is told once a minute, with how many were left out.
/// [any-thread]
class GrpcLines {
  public:
    using Clock = std::chrono::steady_clock;

    /// Our line for gRPC's `message`; none when it has been told within the last minute.
    std::optional<std::string> line(std::string_view message, Clock::time_point now);

  private:
    struct Told {
        Clock::time_point at;
        unsigned left_out = 0;
    };
    std::mutex mutex_;
    std::map<std::string, Told, std::less<>> told_; ///< by reason, at most 64
};

/// From here on gRPC's lines come out of log(), refused handshakes as warnings. Once, before its
/// first server is made.
void take_grpc_log();

/// While there is one, `count` is given the reason of each refused handshake, told or not, on
/// gRPC's threads, one at a time. At most one in a process.
class HandshakeCount {
  public:
    explicit HandshakeCount(std::function<void(std::string_view reason)> count);
    ~HandshakeCount();
    HandshakeCount(const HandshakeCount&) = delete;
    HandshakeCount& operator=(const HandshakeCount&) = delete;
};

} // namespace kata_vfio::daemon
