// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/session.hpp"
#include "qemu/root_window.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::qemu {

/// A virtio-mem device: memory that is given to the guest and taken back block by block.
struct VirtioMem {
    std::string id; ///< "" when it has none
    std::uint64_t max_size = 0, block_size = 0;
};

/// What a running guest has that decides whether a device can be given to it. What QEMU does not
/// say (a refusal, a member that is missing) is nullopt or empty, and decides nothing.
struct GuestFacts {
    std::optional<bool> kvm;                  ///< query-kvm: it is in use
    std::optional<std::uint64_t> memory;      ///< bytes, what was plugged included
    std::optional<std::uint64_t> base_memory; ///< bytes, that it was started with
    std::optional<std::uint64_t> balloon;     ///< bytes the balloon leaves the guest
    std::vector<VirtioMem> virtio_mem;
    RootWindow window;
};

/// Each from the return value of the command of its name.
std::optional<bool> parse_kvm(const boost::json::value& query_kvm);
void parse_memory(const boost::json::value& query_memory_size_summary, GuestFacts& facts);
std::optional<std::uint64_t> parse_balloon(const boost::json::value& query_balloon);
std::vector<VirtioMem> parse_virtio_mem(const boost::json::value& query_memory_devices);

/// Asks when it is made and takes the answers later: QEMU works the questions off one behind the
/// other, so all of them cost about one round trip. `session` must outlive it.
class GuestProbe {
  public:
    enum class About {
        kvm,        ///< all that a vGPU depends on
        everything, ///< what a passthrough function depends on besides
    };
    GuestProbe(Session& session, About about);

    /// Once. Throws Failure: qmp_timeout, qmp_protocol, cancelled, what the session was lost with.
    boost::asio::awaitable<GuestFacts> finish();

  private:
    Session& session_;
    std::vector<Submitted> asked_;
};

} // namespace kata_vfio::qemu
