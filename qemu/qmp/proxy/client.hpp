// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/command.hpp"
#include "qemu/qmp/message.hpp"
#include "qemu/qmp/proxy/input.hpp"
#include "qemu/qmp/proxy/policy.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace kata_vfio::qemu {

/// QEMU's error reply: class and desc as they came, or our own in QEMU's manner.
struct ProxyError {
    std::string error_class;
    std::string desc;
};
/// What a command came to.
using ProxyAnswer = std::variant<boost::json::value, ProxyError>;

/// One client of the proxy, from its greeting on: what a QEMU of its own, which offers no
/// capabilities, would say to it. Sans-io, single-threaded.
///
/// Commands are worked on one by one and answered in order, with or without an id. Most are
/// answered here; next() hands out the one that QEMU has to answer.
class ProxyClient {
  public:
    /// Output that the client has not read beyond this is too much (see overrun()).
    static constexpr std::size_t default_max_unsent = 4u << 20;

    ProxyClient(const Greeting& version, ProxyPolicy policy,
                std::size_t max_unsent = default_max_unsent);

    void received(std::string_view bytes) { input_.feed(bytes); }
    /// The descriptor came with the byte that is received next. It goes to QEMU with a getfd or
    /// add-fd and is closed with anything else: QEMU would keep it for a later one.
    void received(std::shared_ptr<const UniqueFd> fd) { input_.attach(std::move(fd)); }
    /// False: enough is waiting to be worked on, don't read more for now. QEMU does the same.
    bool wants_input() const noexcept { return input_.pending() < 16; }

    /// Answers what can be answered here, up to the first command that is QEMU's to answer, and
    /// returns that one. nullopt: there is none, or the last one has not been answered yet.
    std::optional<Command> next();
    /// To the command that next() gave.
    void answer(const ProxyAnswer& answer);
    /// A client that has not negotiated does not get it.
    void event(const Event& event);

    bool waits_for_answer() const noexcept { return waiting_; }
    /// Nothing is left to be done for it.
    bool idle() const noexcept { return !waiting_ && input_.pending() == 0; }
    bool negotiated() const noexcept { return negotiated_; }

    std::string_view unsent() const noexcept { return std::string_view(out_).substr(sent_); }
    void sent(std::size_t bytes);
    /// The client does not read: something was to be sent while more than the limit was unsent, and
    /// was dropped. It is to be cut. One large answer alone does not do it.
    bool overrun() const noexcept { return overrun_; }

  private:
    std::optional<Command> work(ProxyMessage message);
    std::optional<ProxyError> check(const boost::json::value& message) const;
    ProxyAnswer negotiate(const boost::json::object& arguments);
    void reply(const ProxyAnswer& answer, const std::optional<std::string>& id);
    void send(const std::string& message);

    ProxyPolicy policy_;
    std::size_t max_unsent_;
    ProxyInput input_;
    bool negotiated_ = false;
    bool waiting_ = false;
    std::optional<std::string> waiting_id_;
    std::string out_;
    std::size_t sent_ = 0;
    bool overrun_ = false;
};

} // namespace kata_vfio::qemu
