// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/last_known.hpp"
#include "qemu/qmp/event_bus.hpp"
#include "qemu/qmp/reconnect.hpp"
#include "qemu/qmp/session.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::qemu {

enum class MonitorState {
    connected,
    reconnecting, ///< the connection was lost; attempts are being made
    given_up,     ///< why() says why; ready() tries again
    closed,
};
std::ostream& operator<<(std::ostream& out, MonitorState state);

/// A QEMU's monitor over the loss of connections: when one is lost and QEMU may be alive, it
/// connects again, negotiates, asks for what the machine is and has, and publishes what must have
/// happened meanwhile as synthesised events.
///
///     connected -> (loss) -> reconnecting -> connected     back, with the events that were missed
///                                         -> given_up      QEMU is gone, or can't be reached
///
/// Commands are the Session's. One that was in flight at the loss ends with CommandLost; whether it
/// was done shows last_known() behind ready(): QEMU runs commands one by one, drops what a client
/// that left had queued (monitor_qmp_cleanup_queue_and_resume, monitor/qmp.c), and so answers our
/// questions behind whatever it was still at.
///
/// Threads: as Session, all on its executor. close() before the io_context ends.
class Monitor : public std::enable_shared_from_this<Monitor> {
  public:
    struct Connection {
        std::shared_ptr<Session> session;
        LostHandler lost; ///< told of this connection's loss; may be empty
        /// Told of the events that its answers showed to have been missed; may be empty.
        EventHandler synthesised;
    };
    /// Makes a connection: throws as Session::connect() does, and qemu_gone when it is not the same
    /// QEMU any more. Called again at each attempt.
    using Connect = std::function<boost::asio::awaitable<Connection>()>;

    /// What the owner is told; each may be empty and must not throw.
    struct Hooks {
        EventHandler event; ///< each event, synthesised ones too
        /// The connection is lost, reconnecting begins.
        LostHandler lost;
        /// It is back; told before the missed events are published.
        std::function<void(const std::vector<Event>& missed)> back;
        /// Reconnecting was given up behind a loss, with the last attempt's failure.
        LostHandler given_up;
        StateHandler state; ///< see Session::on_state
        /// True when the QEMU process is known to have ended.
        std::function<bool()> process_gone;
    };

    /// The first connection, and what QEMU is and has. Throws what Connect and ask_what_is_there()
    /// throw; nothing is tried twice.
    static boost::asio::awaitable<std::shared_ptr<Monitor>> open(Connect connect, Hooks hooks,
                                                                 ReconnectLimits limits = {});

    explicit Monitor(boost::asio::any_io_executor executor, Connect connect, Hooks hooks,
                     ReconnectLimits limits);
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    MonitorState state() const noexcept { return state_; }
    bool connected() const noexcept { return state_ == MonitorState::connected; }
    /// Of given_up.
    const std::optional<Failure>& why() const noexcept { return why_; }
    /// The last one there was; lost, unless connected().
    const std::shared_ptr<Session>& session() const noexcept { return session_; }
    const LastKnown& last_known() const noexcept { return known_; }

    /// Returns when connected; at once if it is. While reconnecting it waits for the outcome,
    /// behind given_up it has one more round made. Throws Failure: what reconnecting was given up
    /// with; cancelled.
    boost::asio::awaitable<void> ready();

    /// As Session::arm(), over the loss of connections: hears synthesised events too, and is lost
    /// when reconnecting is given up or close() called.
    EventWaiter arm(std::function<bool(const Event&)> accept);

    /// QMP has no event for a device that was plugged: whoever plugs one says so here.
    void plugged(const std::string& id) { known_.devices.insert(id); }

    /// Ends the connection and the attempts; nobody is told.
    void close();

  private:
    static boost::asio::awaitable<void> reconnect(std::shared_ptr<Monitor> self);
    boost::asio::awaitable<std::optional<Failure>> attempt();
    void adopt(Connection connection);
    void begin();
    void lost(const Session* session, const Failure& why);
    void deliver(const Event& event);
    void give_up(const Failure& why);
    void came_back(LastKnown found);
    void wake();

    boost::asio::any_io_executor executor_;
    Connect connect_;
    Hooks hooks_;
    ReconnectLimits limits_;
    MonitorState state_ = MonitorState::reconnecting;
    std::optional<Failure> why_;
    std::shared_ptr<Session> session_;
    EventHandler synthesised_; ///< of the session's connection
    LastKnown known_;
    /// Real events since the questions of a reconnect went out: its answers may be older than they.
    std::vector<Event> meanwhile_;
    std::unique_ptr<EventBus> bus_;
    std::chrono::steady_clock::time_point since_{}; ///< of the loss
    bool crashed_ = false;
    bool asked_ = false; ///< the attempts are being made for ready(), not for a loss
    boost::asio::steady_timer pause_;
    std::shared_ptr<boost::asio::cancellation_signal> stop_;        ///< of the latest round
    std::vector<std::weak_ptr<boost::asio::steady_timer>> waiting_; ///< ready()
};

} // namespace kata_vfio::qemu
