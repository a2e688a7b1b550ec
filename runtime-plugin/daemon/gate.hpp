// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/call.hpp"
#include "runtime-plugin/daemon/core.hpp"
#include "runtime-plugin/daemon/places.hpp"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace kata_vfio::daemon {

/// What a method does. Its arguments live until it has ended.
template <class Request, class Response>
using MethodBody =
    std::function<boost::asio::awaitable<void>(Operation&, const Request&, Response&)>;

template <class Request>
std::string request_id_of(const Request& request) {
    if constexpr (requires { request.request_id(); })
        return request.request_id();
    return {};
}

/// Where every call of the API comes in, as bytes under a method's name. gRPC's generated services
/// parse by themselves, and answer what they can't parse or find too large without telling anybody:
/// here such a request is refused with details and logged, once. Methods are added before gRPC's
/// server starts; from then on
/// [any-thread].
class Gate final : public grpc::CallbackGenericService {
  public:
    explicit Gate(Core& core) : core_(core) {}

    /// `method`: "Devices/Attach".
    template <class Request, class Response>
    void unary(const std::string& method, MethodBody<Request, Response> handler) {
        add<Request>(
            method,
            [this, method,
             handler = std::move(handler)](std::shared_ptr<Request> request, Call::Parse parse,
                                           Call::Hooks hooks) -> std::shared_ptr<Call> {
                UnaryCall::Join join = [this, method, handler, request](Operations::Done done) {
                    auto answer = std::make_shared<Response>();
                    Operations::Body body =
                        [request, answer, handler](
                            std::shared_ptr<Operation> operation) -> boost::asio::awaitable<void> {
                        co_await handler(*operation, *request, *answer);
                    };
                    return core_.operations.join(method, request_id_of(*request), request, answer,
                                                 std::move(body), std::move(done));
                };
                return std::make_shared<UnaryCall>(core_.loop, core_.operations, std::move(parse),
                                                   std::move(hooks), std::move(join));
            });
    }

    /// Answered on the spot: no operation, and taken while draining too.
    template <class Request, class Response>
    void immediate(const std::string& method, std::function<Response(const Request&)> answer) {
        add<Request>(
            method,
            [this, answer = std::move(answer)](std::shared_ptr<Request> request, Call::Parse parse,
                                               Call::Hooks hooks) -> std::shared_ptr<Call> {
                UnaryCall::Join join = [answer, request](const Operations::Done& done) {
                    Operation finished;
                    finished.response = std::make_shared<Response>(answer(*request));
                    done(finished);
                    return Operations::Ticket{};
                };
                return std::make_shared<UnaryCall>(core_.loop, core_.operations, std::move(parse),
                                                   std::move(hooks), std::move(join));
            });
    }

    /// `begin` is called on the loop.
    template <class Request>
    void stream(const std::string& method,
                std::function<void(const Request&, std::shared_ptr<StreamCall>)> begin) {
        add<Request>(
            method,
            [this, begin = std::move(begin)](std::shared_ptr<Request> request, Call::Parse parse,
                                             Call::Hooks hooks) -> std::shared_ptr<Call> {
                StreamCall::Begin start = [this, begin,
                                           request](const std::shared_ptr<StreamCall>& call) {
                    if (core_.operations.draining())
                        throw Refused(rpc::ServiceRefusal::draining, "kata-vfiod is ending");
                    auto place = streams_.take();
                    if (!place)
                        throw Refused(rpc::ServiceRefusal::too_many_calls,
                                      std::to_string(streams_.most()) + " streams are open");
                    call->keep(std::move(place));
                    begin(*request, call);
                };
                return std::make_shared<StreamCall>(core_.loop, std::move(parse), std::move(hooks),
                                                    std::move(start));
            });
    }

  private:
    using Make = std::function<std::shared_ptr<Call>(Call::Hooks)>;

    template <class Request, class MakeCall>
    void add(const std::string& method, MakeCall make) {
        methods_["/kata_vfio.v1." + method] = [make = std::move(make)](Call::Hooks hooks) {
            auto request = std::make_shared<Request>();
            Call::Parse parse = [request](grpc::ByteBuffer& bytes) {
                return grpc::SerializationTraits<Request>::Deserialize(&bytes, request.get()).ok();
            };
            return make(request, std::move(parse), std::move(hooks));
        };
    }

    grpc::ServerGenericBidiReactor*
    CreateReactor(grpc::GenericCallbackServerContext* context) override;

    Core& core_;
    std::map<std::string, Make, std::less<>> methods_;
    /// Of Watch, Events and Trace together: each event of Watch wakes each of its own.
    Places streams_{1024};
    /// Of all calls, those included whose request has not come yet.
    Places calls_{8192};
};

/// Has reflection list a service whose methods are all the gate's: gRPC lists those of which it
/// knows a method itself, so that it is given one that no client has a name for.
class Listed final : public grpc::Service {
  public:
    /// `service`: "kata_vfio.v1.Devices"
    explicit Listed(std::string_view service);

  private:
    std::string path_;
};

} // namespace kata_vfio::daemon
