// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/host.pb.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Registry;
}

namespace kata_vfio::daemon {

/// Why a connection is refused: of the unix socket the first, of TCP the others.
inline constexpr std::array<std::string_view, 6> refused_reasons{
    "peer_not_allowed", "no_certificate", "certificate_refused",
    "not_tls",          "tls_version",    "handshake_failed"};

/// What kata-vfiod counts for Prometheus (docs/service.md lists it). No label holds a sandbox's id,
/// a UUID or whatever else there may be any number of. [any-thread]
class Metrics {
  public:
    using Duration = std::chrono::steady_clock::duration;

    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    /// A call's end: `reason` is "ok" or its refusal's.
    void called(std::string_view method, std::string_view reason, Duration took);
    /// A step of a call: "claim", "create_vgpu", "bind", "plug", "unplug", ..
    void stepped(std::string_view method, std::string_view step, Duration took);
    /// One QMP command's round trip.
    void qmp(std::string_view command, Duration took);
    /// Events of the connection to a QEMU: "lost", "gone", ..
    void monitor(std::string_view what);
    /// `whole`: of every sandbox.
    void reconciled(const v1::ReconcileResponse& report, bool whole);
    void configuration(bool good);
    /// One of refused_reasons.
    void refused_connection(std::string_view reason);

    // What is so at the moment of a scrape.
    struct Host {
        Host() = default;
        std::vector<v1::VgpuType> types;
        std::vector<v1::Vgpu> vgpus;
        std::size_t sandboxes = 0, pci = 0, mdev = 0; ///< sandboxes on record, attachments by kind
        std::size_t pending = 0;                      ///< attachments that wait to be given back
    };
    void host(const Host& host);
    void running(std::size_t calls, std::size_t open_sandboxes, std::size_t watchers);

    /// As text, in Prometheus' exposition format 0.0.4.
    std::string text() const;

  private:
    struct Families;
    std::shared_ptr<prometheus::Registry> registry_;
    std::unique_ptr<Families> families_;
};

/// The step a text of the plugin's tells of, as a label: "plug vfio-x into pci.0" -> "plug".
/// "other" for what is not known here.
std::string_view step_label(std::string_view text) noexcept;

} // namespace kata_vfio::daemon
