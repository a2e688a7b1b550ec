// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/operations.hpp"

#include <boost/asio/io_context.hpp>
#include <google/protobuf/message.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <variant>

namespace kata_vfio::daemon {

/// Of one request, in bytes as protobuf has them.
inline constexpr std::size_t largest_message = 4u << 20;
/// gRPC's own limit: a message above it ends the call before anybody of ours has seen it. The
/// distance to largest_message is what a refusal with details is for.
inline constexpr std::size_t largest_taken = 16u << 20;

/// One client's call, between gRPC's threads and the loop: takes its one request as bytes, so that
/// what is too large or no message is refused in our words. It belongs to two: to gRPC until OnDone
/// (self_), and to the loop as long as a message for it is on its way. On the loop's thread:
/// everything but construction, begin() and the On... functions, which parse or only post.
class Call : public grpc::ServerGenericBidiReactor, public std::enable_shared_from_this<Call> {
  public:
    /// [any-thread] Whether the bytes are a message of the method's.
    using Parse = std::function<bool(grpc::ByteBuffer&)>;
    /// The gate's part, on the loop.
    struct Hooks {
        /// Told of a request that was refused before it became an operation: the reason and a
        /// sentence. At most once a call.
        std::function<void(std::string_view reason, const std::string& text)> refused;
        /// Called before the end is sent; once a call.
        std::function<void()> ending;
        /// Held as long as the call is there.
        std::shared_ptr<void> place;
    };

    /// [any-thread] For gRPC.
    grpc::ServerGenericBidiReactor* begin();
    bool finished() const noexcept { return finished_; }
    /// Of calls that have ended already, nothing.
    virtual void finish(const grpc::Status& status);
    /// As the end of a call that is no operation: told when it is the request that is malformed. Of
    /// calls that have ended already, nothing.
    void refuse(const Failure& failure, const rpc::Subject& subject = {});

  protected:
    Call(boost::asio::io_context& loop, Parse parse, Hooks hooks)
        : loop_(loop), parse_(std::move(parse)), hooks_(std::move(hooks)) {}

    /// The request is there. Refused and Failure thrown become the call's end.
    virtual void run() = 0;
    /// The client has gone, or gRPC has ended the call.
    virtual void abandon() = 0;
    /// A message that went out by StartWrite() did, or never will.
    virtual void written(bool /*ok*/) {}

    /// Says that the call is over. False when it was before.
    bool close();

  private:
    enum class Arrival { pending, whole, too_large, malformed, none };

    void arrived(Arrival arrival);
    void refuse(rpc::ServiceRefusal refusal, const std::string& text);
    void cancelled();

    void OnReadDone(bool ok) override;
    void OnWriteDone(bool ok) override;
    void OnCancel() override;
    void OnDone() override;

    boost::asio::io_context& loop_;
    Parse parse_;
    Hooks hooks_;
    grpc::ByteBuffer request_;
    std::shared_ptr<Call> self_;
    bool arrived_ = false, finished_ = false;
};

/// One request, one answer.
class UnaryCall final : public Call {
  public:
    using Join = std::function<Operations::Ticket(Operations::Done)>;
    UnaryCall(boost::asio::io_context& loop, Operations& operations, Parse parse, Hooks hooks,
              Join join)
        : Call(loop, std::move(parse), std::move(hooks)), operations_(operations),
          join_(std::move(join)) {}

  private:
    void run() override;
    void abandon() override;
    void end(const Operation& operation);

    Operations& operations_;
    Join join_;
    Operations::Ticket ticket_;
    grpc::ByteBuffer response_;
};

/// One request, a stream of answers: what `next` gives is written one at a time, so that a client
/// that does not read holds up nobody but itself.
class StreamCall final : public Call {
  public:
    struct Wait {};
    using Next = std::variant<Wait, grpc::ByteBuffer, grpc::Status>;
    using Pull = std::function<Next()>;
    /// Called when the request is there; gives what to pull from once it is ready, by start().
    using Begin = std::function<void(std::shared_ptr<StreamCall>)>;

    StreamCall(boost::asio::io_context& loop, Parse parse, Hooks hooks, Begin begin)
        : Call(loop, std::move(parse), std::move(hooks)), begin_(std::move(begin)) {}

    /// `at_end` is called when the stream has ended, however.
    void start(Pull pull, std::function<void()> at_end);
    /// There may be something to write.
    void wake();
    /// A write that is under way is given up by gRPC.
    void finish(const grpc::Status& status) override;
    /// Held as long as the call is there.
    void keep(std::shared_ptr<void> place) { place_ = std::move(place); }

  private:
    void run() override;
    void abandon() override { finish(grpc::Status::CANCELLED); }
    void written(bool ok) override;

    Begin begin_;
    Pull pull_;
    std::function<void()> at_end_;
    std::shared_ptr<void> place_;
    grpc::ByteBuffer message_;
    bool writing_ = false;
};

grpc::ByteBuffer bytes_of(const google::protobuf::Message& message);

} // namespace kata_vfio::daemon
