// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/call.hpp"

#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/asio/post.hpp>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>

namespace kata_vfio::daemon {
namespace asio = boost::asio;

grpc::ByteBuffer bytes_of(const google::protobuf::Message& message) {
    grpc::ByteBuffer bytes;
    bool own = false;
    const auto status =
        grpc::SerializationTraits<google::protobuf::Message>::Serialize(message, &bytes, &own);
    if (!status.ok())
        throw Failure(Errc::internal, "an answer can't be written").said(status.error_message());
    return bytes;
}

grpc::ServerGenericBidiReactor* Call::begin() {
    self_ = shared_from_this();
    StartRead(&request_);
    return this;
}

bool Call::close() {
    if (std::exchange(finished_, true))
        return false;
    hooks_.ending();
    return true;
}

void Call::finish(const grpc::Status& status) {
    if (close())
        Finish(status); // OnDone may come before it returns
}

void Call::refuse(rpc::ServiceRefusal refusal, const std::string& text) {
    hooks_.refused(rpc::name(refusal), text);
    finish(rpc::status_of(refusal, text));
}

void Call::refuse(const Failure& failure, const rpc::Subject& subject) {
    if (finished_) // and hooks_ may ask a context that is gone
        return;
    const auto status = rpc::status_of(failure, subject);
    if (status.error_code() == grpc::INVALID_ARGUMENT || status.error_code() == grpc::INTERNAL)
        hooks_.refused(name(failure.code()), failure.what());
    finish(status);
}

void Call::arrived(Arrival arrival) {
    if (finished_) // cancelled before it began
        return;
    arrived_ = true;
    const auto self = self_;
    switch (arrival) {
    case Arrival::too_large:
        return refuse(rpc::ServiceRefusal::message_too_large,
                      "the message has " + std::to_string(request_.Length()) +
                          " bytes, more than " + std::to_string(largest_message));
    case Arrival::malformed:
        return refuse(rpc::ServiceRefusal::malformed_message,
                      "the " + std::to_string(request_.Length()) +
                          " bytes are no message of this method's");
    case Arrival::none:
    case Arrival::pending:
        return refuse(rpc::ServiceRefusal::malformed_message,
                      "no whole message came: it has more than " + std::to_string(largest_taken) +
                          " bytes, or the client sent none");
    case Arrival::whole:
        break;
    }
    request_.Clear();
    try {
        run();
    } catch (const Refused& refused) {
        if (refused.refusal == rpc::ServiceRefusal::request_id_reused)
            hooks_.refused(rpc::name(refused.refusal), refused.message);
        finish(rpc::status_of(refused.refusal, refused.message));
    } catch (...) {
        refuse(plugin::failure_from(std::current_exception()));
    }
}

void Call::cancelled() {
    if (finished_)
        return;
    if (arrived_)
        return abandon();
    // gRPC cancels a call whose message is above its limit, and may say so before the read fails.
    arrived(Arrival::none);
}

void Call::OnReadDone(bool ok) {
    auto arrival = Arrival::none;
    if (ok)
        arrival = request_.Length() > largest_message ? Arrival::too_large
                  : parse_(request_)                  ? Arrival::whole
                                                      : Arrival::malformed;
    asio::post(loop_, [self = self_, arrival] { self->arrived(arrival); });
}

void Call::OnWriteDone(bool ok) {
    asio::post(loop_, [self = self_, ok] { self->written(ok); });
}

void Call::OnCancel() {
    asio::post(loop_, [self = self_] { self->cancelled(); });
}

void Call::OnDone() {
    // The last reference goes on the loop, where a message for this may still be running.
    asio::post(loop_, [self = std::move(self_)] {});
}

void UnaryCall::run() {
    auto self = std::static_pointer_cast<UnaryCall>(shared_from_this());
    auto ticket = join_([self](const Operation& operation) { self->end(operation); });
    if (!finished())
        ticket_ = std::move(ticket);
}

void UnaryCall::end(const Operation& operation) {
    if (finished())
        return;
    ticket_ = {};
    if (!operation.status.ok())
        return finish(operation.status);
    response_ = bytes_of(*operation.response);
    close();
    StartWriteAndFinish(&response_, {}, grpc::Status::OK);
}

void UnaryCall::abandon() {
    const auto ticket = std::exchange(ticket_, {});
    finish(grpc::Status::CANCELLED);
    if (ticket.operation)
        operations_.leave(ticket);
}

void StreamCall::run() {
    // Before the first message: a client waits for the headers to know that it is served.
    StartSendInitialMetadata();
    begin_(std::static_pointer_cast<StreamCall>(shared_from_this()));
}

void StreamCall::start(Pull pull, std::function<void()> at_end) {
    if (finished())
        return at_end();
    pull_ = std::move(pull);
    at_end_ = std::move(at_end);
    wake();
}

void StreamCall::wake() {
    if (writing_ || finished() || !pull_)
        return;
    auto next = pull_();
    if (auto* status = std::get_if<grpc::Status>(&next))
        return finish(*status);
    auto* message = std::get_if<grpc::ByteBuffer>(&next);
    if (!message)
        return;
    message_.Swap(message);
    writing_ = true;
    StartWrite(&message_);
}

void StreamCall::finish(const grpc::Status& status) {
    if (!close())
        return;
    pull_ = {};
    if (at_end_)
        std::exchange(at_end_, {})();
    Finish(status);
}

void StreamCall::written(bool ok) {
    writing_ = false;
    if (ok)
        wake();
    else
        finish(grpc::Status::CANCELLED);
}

} // namespace kata_vfio::daemon
