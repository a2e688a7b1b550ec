// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/command.hpp"
#include "qemu/qmp/proxy/core.hpp"
#include "qemu/qmp/proxy/policy.hpp"
#include "qemu/qmp/proxy/unix_listener.hpp"
#include "qemu/qmp/proxy/upstream.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

namespace kata_vfio::qemu {

/// What the proxy's owner is told, on the executor; each may be empty and must not throw.
struct ProxyHooks {
    /// A command that does not only look is about to go to QEMU.
    std::function<void(const std::string& command)> tainted;
    /// QEMU has carried out a client's device_add, or accepted its device_del.
    std::function<void(const Command& command)> device_changed;
};

/// A QMP monitor of its own for each of several clients, on one unix socket, over a session that is
/// shared with us. Tools can't tell it from QEMU, but that it offers no capabilities, and refuses
/// what its policy does.
///
/// Clients must be root or of this process's user (SO_PEERCRED). File descriptors they send go to
/// QEMU with getfd and add-fd where the policy lets these pass, and are closed otherwise.
///
/// Threads: everything, destruction included, on the executor, which runs one handler at a time.
class Proxy {
  public:
    Proxy(boost::asio::any_io_executor executor, UnixListener listener, ProxyPolicy policy,
          ProxyHooks hooks = {}, ProxyLimits limits = {});
    /// As close().
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    /// Commands go to this QEMU from now on, and its events to the clients. When it is lost the
    /// clients get what it has said, then EOF, as from a QEMU that ends; later ones are told that
    /// it is not connected, until the next attach().
    void attach(std::shared_ptr<ProxyUpstream> upstream);

    /// To be called as soon as the connection is lost, when it may come back: the clients stay.
    /// What they had on its way is answered by GenericError, which says that it is not known
    /// whether it was done; what they send until the next attach() by "QMP backend is not
    /// connected".
    void hold();
    /// Behind hold(): it does not come back. The clients get EOF.
    void give_up();
    /// An event that the upstream has not sent; clients tell it by its member "synthesised".
    void publish(const Event& event);

    /// Ends the socket and all clients.
    void close();

    const std::string& path() const noexcept;
    std::size_t clients() const;

    class Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

} // namespace kata_vfio::qemu
