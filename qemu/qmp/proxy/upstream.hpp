// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/command.hpp"
#include "qemu/qmp/message.hpp"
#include "qemu/qmp/session.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <functional>
#include <memory>

namespace kata_vfio::qemu {

/// The QEMU behind a proxy, so that a reconnect can put another session in its place. Everything on
/// one executor, the proxy's.
class ProxyUpstream {
  public:
    virtual ~ProxyUpstream() = default;

    virtual const Greeting& greeting() const = 0;
    virtual bool connected() const = 0;

    /// Throws as Session::execute does.
    virtual boost::asio::awaitable<boost::json::value> execute(Command command) = 0;

    struct Listener {
        std::function<void(const Event&)> event;
        std::function<void()> lost; ///< once, behind the last event
    };
    /// Until the listener or this is gone. Events and the ends of execute() come in the order in
    /// which QEMU has sent them.
    virtual void listen(std::weak_ptr<Listener> listener) = 0;
};

/// A Session as upstream.
class SessionUpstream : public ProxyUpstream {
  public:
    /// `executor` is the session's.
    SessionUpstream(boost::asio::any_io_executor executor, std::shared_ptr<Session> session)
        : executor_(std::move(executor)), session_(std::move(session)) {}

    const Greeting& greeting() const override { return session_->greeting(); }
    bool connected() const override { return session_->running(); }
    boost::asio::awaitable<boost::json::value> execute(Command command) override;
    void listen(std::weak_ptr<Listener> listener) override;

  private:
    boost::asio::any_io_executor executor_;
    std::shared_ptr<Session> session_;
};

} // namespace kata_vfio::qemu
