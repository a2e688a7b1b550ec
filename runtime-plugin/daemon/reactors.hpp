// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/operations.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>
#include <variant>

namespace kata_vfio::daemon {

/// One client's unary call, between gRPC's threads and the loop. It belongs to two: to gRPC until
/// OnDone (self_), and to the loop as long as a message for it is on its way. On the loop's thread:
/// everything but construction and the On... functions, which only post.
template <class Response>
class UnaryReactor final : public grpc::ServerUnaryReactor {
  public:
    using Join = std::function<Operations::Ticket(Operations::Done)>;

    /// To be returned to gRPC.
    static grpc::ServerUnaryReactor* begin(boost::asio::io_context& loop, Operations& operations,
                                           Response* response, Join join) {
        auto self = std::shared_ptr<UnaryReactor>(new UnaryReactor(loop, operations, response));
        self->self_ = self;
        boost::asio::post(loop, [self, join = std::move(join)] { self->run(join); });
        return self.get();
    }

  private:
    UnaryReactor(boost::asio::io_context& loop, Operations& operations, Response* response)
        : loop_(loop), operations_(operations), response_(response) {}

    void run(const Join& join) {
        if (finished_) // cancelled before it began
            return;
        auto self = self_;
        try {
            auto ticket = join([self](const Operation& operation) { self->end(operation); });
            if (!finished_)
                ticket_ = std::move(ticket);
        } catch (const Refused& refused) {
            finish(rpc::status_of(refused.refusal, refused.message));
        } catch (const Failure& failure) {
            finish(rpc::status_of(failure));
        } catch (const std::exception& error) {
            finish(rpc::status_of(Failure(Errc::internal, "unexpected error").said(error.what())));
        }
    }

    void end(const Operation& operation) {
        if (!finished_ && operation.status.ok())
            response_->CopyFrom(*operation.response);
        finish(operation.status);
    }

    void finish(const grpc::Status& status) {
        if (std::exchange(finished_, true))
            return;
        ticket_ = {};
        Finish(status); // OnDone may come before it returns
    }

    void abandon() {
        if (finished_)
            return;
        const auto ticket = ticket_;
        finish(grpc::Status::CANCELLED);
        if (ticket.operation)
            operations_.leave(ticket);
    }

    void OnCancel() override {
        boost::asio::post(loop_, [self = self_] { self->abandon(); });
    }
    void OnDone() override {
        // The last reference goes on the loop, where a message for this may still be running.
        boost::asio::post(loop_, [self = std::move(self_)] {});
    }

    boost::asio::io_context& loop_;
    Operations& operations_;
    Response* response_;
    std::shared_ptr<UnaryReactor> self_;
    Operations::Ticket ticket_;
    bool finished_ = false;
};

/// One client's stream: what `next` gives is written one at a time, so that a client that does not
/// read holds up nobody but itself. Threads as in UnaryReactor.
template <class Message>
class StreamReactor final : public grpc::ServerWriteReactor<Message>,
                            public std::enable_shared_from_this<StreamReactor<Message>> {
  public:
    struct Wait {};
    using Next = std::variant<Wait, Message, grpc::Status>;
    using Pull = std::function<Next()>;
    /// Called on the loop when the client's call has begun; gives what to pull from once it is
    /// ready, by start().
    using Begin = std::function<void(std::shared_ptr<StreamReactor>)>;

    static grpc::ServerWriteReactor<Message>* begin(boost::asio::io_context& loop, Begin begin) {
        auto self = std::shared_ptr<StreamReactor>(new StreamReactor(loop));
        self->self_ = self;
        // Before the first message: a client waits for the headers to know that it is served.
        self->StartSendInitialMetadata();
        boost::asio::post(loop, [self, begin = std::move(begin)] {
            if (!self->finished_)
                begin(self);
        });
        return self.get();
    }

    // On the loop's thread:

    /// `at_end` is called when the stream has ended, however.
    void start(Pull pull, std::function<void()> at_end) {
        if (finished_)
            return at_end();
        pull_ = std::move(pull);
        at_end_ = std::move(at_end);
        wake();
    }

    /// There may be something to write.
    void wake() {
        if (writing_ || finished_ || !pull_)
            return;
        auto next = pull_();
        if (auto* status = std::get_if<grpc::Status>(&next))
            return finish(*status);
        auto* message = std::get_if<Message>(&next);
        if (!message)
            return;
        message_ = std::move(*message);
        writing_ = true;
        this->StartWrite(&message_);
    }

    /// A write that is under way is given up by gRPC.
    void finish(const grpc::Status& status) {
        if (std::exchange(finished_, true))
            return;
        pull_ = {};
        if (at_end_)
            std::exchange(at_end_, {})();
        this->Finish(status);
    }
    bool finished() const noexcept { return finished_; }

  private:
    explicit StreamReactor(boost::asio::io_context& loop) : loop_(loop) {}

    void OnWriteDone(bool ok) override {
        boost::asio::post(loop_, [self = self_, ok] {
            self->writing_ = false;
            if (ok)
                self->wake();
            else
                self->finish(grpc::Status::CANCELLED);
        });
    }
    void OnCancel() override {
        boost::asio::post(loop_, [self = self_] { self->finish(grpc::Status::CANCELLED); });
    }
    void OnDone() override {
        boost::asio::post(loop_, [self = std::move(self_)] {});
    }

    boost::asio::io_context& loop_;
    std::shared_ptr<StreamReactor> self_;
    Pull pull_;
    std::function<void()> at_end_;
    Message message_;
    bool writing_ = false, finished_ = false;
};

} // namespace kata_vfio::daemon
