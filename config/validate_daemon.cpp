// SPDX-License-Identifier: Apache-2.0
#include "config/address.hpp"
#include "config/base/text.hpp"
#include "config/validate.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace kata_vfio::config {
namespace {

Finding finding(const Configuration& c, const char* key, std::string text, std::string remedy) {
    return {Errc::config_invalid, key, c.position("vfio.daemon." + std::string(key)),
            std::move(text), std::move(remedy)};
}

} // namespace

std::optional<Finding> daemon_socket_is_usable(const Configuration& c) {
    const auto& path = c.vfio.daemon.socket;
    if (is_socket_path(path))
        return std::nullopt;
    return finding(c, "socket", "is no absolute path of at most 107 bytes: " + quoted(path),
                   "name a file in a directory of its own, below /run");
}

std::optional<Finding> daemon_uids_are_numbers(const Configuration& c) {
    for (const auto& text : c.vfio.daemon.allowed_uids) {
        std::uint32_t uid = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), uid);
        // -1 is what the kernel has for "none".
        if (error != std::errc() || end != text.data() + text.size() || uid == UINT32_MAX)
            return finding(c, "allowed_uids", quoted(text) + " is no user's number",
                           "write it as `id -u NAME` prints it, in quotes");
    }
    return std::nullopt;
}

std::optional<Finding> daemon_tcp_is_mutual(const Configuration& c) {
    const auto& d = c.vfio.daemon;
    if (d.tcp.empty())
        return std::nullopt;
    if (!is_host_and_port(d.tcp))
        return finding(c, "tcp", quoted(d.tcp) + " is not HOST:PORT", "e.g. \"10.0.0.1:9640\"");
    for (const auto& [key, value] : {std::pair{"tls_certificate", &d.tls_certificate},
                                     {"tls_key", &d.tls_key},
                                     {"tls_client_ca", &d.tls_client_ca}})
        if (!value->starts_with('/'))
            return finding(c, "tcp",
                           "is set, but " + std::string(key) +
                               (value->empty() ? " is not" : " is no absolute path") +
                               ": without client certificates anyone on the network could take "
                               "the host's devices",
                           "set tls_certificate, tls_key and tls_client_ca, or no tcp");
    return std::nullopt;
}

std::optional<Finding> daemon_metrics_is_an_address(const Configuration& c) {
    const std::string_view metrics = c.vfio.daemon.metrics;
    if (metrics.empty() || is_host_and_port(metrics) ||
        (metrics.starts_with("unix:") && is_socket_path(metrics.substr(5))))
        return std::nullopt;
    return finding(c, "metrics", quoted(metrics) + " is neither unix:PATH nor HOST:PORT",
                   "e.g. \"127.0.0.1:9641\"");
}

std::vector<Finding> validate_daemon(const Configuration& configuration) {
    constexpr auto rules = std::to_array({daemon_socket_is_usable, daemon_uids_are_numbers,
                                          daemon_tcp_is_mutual, daemon_metrics_is_an_address});
    std::vector<Finding> findings;
    for (const auto rule : rules)
        if (auto found = rule(configuration))
            findings.push_back(std::move(*found));
    return findings;
}

} // namespace kata_vfio::config
