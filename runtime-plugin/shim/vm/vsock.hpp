// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "vfio/host_root.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <sys/socket.h>

#include <cstdint>
#include <functional>

namespace kata_vfio::shim {

/// The first context id from `from` on, and around, that `take` takes: it answers 0, or an errno,
/// of which EADDRINUSE leads to the next one. Ids of guests are 3 to 2^32 - 2. Throws Failure for
/// another errno, and when a thousand in a row are taken. Pure but for `take`.
std::uint32_t allot_cid(std::uint32_t from, const std::function<int(std::uint32_t)>& take);

/// Whether that is the peer of a vsock connection. Pure.
bool comes_from(std::uint32_t cid, const sockaddr_storage& peer) noexcept;

/// A sandbox's way to its agent by vsock: a device for its QEMU, which has a context id that no
/// other virtual machine of the host has, and a port of the host that the agent connects to. One
/// thread.
///
/// The port is the host's own address's alone (VMADDR_CID_HOST), and only the guest's is heard of
/// those that connect to it: the kernel knows who it is (the sender's address of each packet is
/// compared with its device's), and no other guest can say that it is this one.
class Vsock {
  public:
    /// Throws Failure when the host has no vsock, or does not let us: who calls has another way.
    Vsock(boost::asio::io_context& io, const vfio::HostRoot& root);

    std::uint32_t cid() const noexcept { return cid_; }
    std::uint32_t port() const noexcept { return port_; }
    /// /dev/vhost-vsock, opened, with the id. QEMU's: it is to be let go of here once QEMU has it,
    /// since the guest's connections end with the last who has it open.
    int device() const noexcept { return device_.get(); }
    void device_is_given() noexcept { device_.reset(); }

    /// Until the guest connects; others that do are dropped. Nobody can connect after that. None
    /// when the port is of no more use, for reason().
    boost::asio::awaitable<UniqueFd> accept();
    /// An errno.
    int reason() const noexcept { return reason_; }

  private:
    boost::asio::io_context& io_;
    UniqueFd device_, listener_;
    std::uint32_t cid_ = 0, port_ = 0;
    int reason_ = 0;
};

} // namespace kata_vfio::shim
