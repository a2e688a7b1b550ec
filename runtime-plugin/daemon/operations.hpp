// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/rpc/refusal.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::daemon {

/// One of the service's own refusals, thrown.
struct Refused : std::exception {
    Refused(rpc::ServiceRefusal r, std::string m) : refusal(r), message(std::move(m)) {}
    const char* what() const noexcept override { return message.c_str(); }
    rpc::ServiceRefusal refusal;
    std::string message;
};

/// A call under way: one run of a body, for all the clients that wait for it.
struct Operation {
    std::string method;     ///< "Devices/Attach"
    std::string request_id; ///< "" when the client gave none
    std::string content;    ///< tells the request, without its id, from others
    bool changes = false;   ///< set by the body: worth an event when it fails
    rpc::Subject subject;   ///< set by the body, for its refusal's details
    std::shared_ptr<google::protobuf::Message> request, response;
    /// Whether it was given up, for what runs on other threads.
    std::shared_ptr<std::atomic<bool>> given_up = std::make_shared<std::atomic<bool>>(false);

    // For metrics: when it began, and its present step's label and beginning.
    std::chrono::steady_clock::time_point began, step_began;
    std::string step;

    // Operations' own:
    bool finished = false;
    grpc::Status status;
    std::string reason; ///< "ok", or why it was refused
    std::optional<Failure> failure;
    boost::asio::cancellation_signal signal;
    std::map<std::uint64_t, std::function<void(const Operation&)>> waiters;
    std::chrono::steady_clock::time_point ended;
    std::size_t kept_bytes = 0; ///< of the answer, while it is remembered
};

/// The calls under way and, by request id, those that ended lately (the rules: common.proto). All
/// on the loop's thread.
class Operations {
  public:
    static constexpr std::size_t most_running = 1024;
    static constexpr std::size_t most_remembered = 4096;
    /// Of remembered answers together, as protobuf has them.
    static constexpr std::size_t most_remembered_bytes = 32u << 20;
    static constexpr std::chrono::minutes remembered_for{10};

    using Clock = std::function<std::chrono::steady_clock::time_point()>;
    explicit Operations(boost::asio::io_context& loop, Clock clock = {});

    using Body = std::function<boost::asio::awaitable<void>(std::shared_ptr<Operation>)>;
    using Done = std::function<void(const Operation&)>;
    struct Ticket {
        std::shared_ptr<Operation> operation;
        std::uint64_t waiter = 0;
    };
    /// Starts the body, or waits for the run of an equal request. `done` is called once, in this
    /// call or later, unless leave() comes first. Throws Refused: request_id_reused,
    /// too_many_calls, draining; Failure(invalid_argument) for a malformed request id.
    Ticket join(std::string method, std::string request_id,
                std::shared_ptr<google::protobuf::Message> request,
                std::shared_ptr<google::protobuf::Message> response, Body body, Done done);
    /// This client has gone. With the last one the run is given up.
    void leave(const Ticket& ticket);
    /// As the client of that id: asks the run to end. False when there is none.
    bool cancel(const std::string& request_id);

    /// From now on nothing new is taken.
    void refuse_new();
    bool draining() const noexcept { return draining_; }
    void cancel_all();
    std::size_t running() const noexcept { return running_.size(); }
    /// Called once, when nothing runs any more.
    void when_idle(std::function<void()> idle);

    /// Told when a run is given up, and of each run's end.
    std::function<void(const Operation&)> on_give_up;
    std::function<void(const Operation&)> on_end;

  private:
    void start(const std::shared_ptr<Operation>& operation, Body body);
    void end(const std::shared_ptr<Operation>& operation, const std::exception_ptr& error);
    void give_up(Operation& operation);
    void forget_old();

    boost::asio::io_context& loop_;
    Clock clock_;
    std::map<std::string, std::shared_ptr<Operation>> by_id_;
    std::deque<std::string> ended_; ///< ids, oldest first
    std::size_t ended_bytes_ = 0;
    std::map<Operation*, std::shared_ptr<Operation>> running_;
    std::uint64_t next_waiter_ = 1;
    bool draining_ = false;
    std::function<void()> idle_;
};

} // namespace kata_vfio::daemon
