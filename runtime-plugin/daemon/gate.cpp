// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/gate.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/daemon/log.hpp"

#include <boost/asio/post.hpp>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <unistd.h>

namespace kata_vfio::daemon {
namespace {

/// gRPC gives no more than the address, which a client's end of a unix socket has none of: such a
/// client is of one of the users that are let in.
std::string named(const std::string& peer, const config::Daemon& settings) {
    if (!peer.starts_with("unix:"))
        return peer;
    std::string uids;
    for (const auto& uid : settings.allowed_uids)
        uids += (uids.empty() ? "" : " or ") + uid;
    return "the unix socket, uid " + (uids.empty() ? std::to_string(::geteuid()) : uids);
}

class Refusal final : public grpc::ServerGenericBidiReactor {
  public:
    Refusal(rpc::ServiceRefusal refusal, const std::string& text) {
        Finish(rpc::status_of(refusal, text));
    }
    void OnDone() override { delete this; }
};

} // namespace

grpc::ServerGenericBidiReactor* Gate::CreateReactor(grpc::GenericCallbackServerContext* context) {
    const auto found = methods_.find(context->method());
    if (found == methods_.end()) {
        const auto text = "there is no method " + quoted(context->method().substr(0, 256));
        boost::asio::post(core_.loop, [&core = core_, text, peer = context->peer()] {
            log(Level::warning,
                "refused: " + text + ", from " + named(peer, core.configuration().vfio.daemon));
        });
        return new Refusal(rpc::ServiceRefusal::unknown_method, text);
    }
    auto place = calls_.take();
    if (!place)
        return new Refusal(rpc::ServiceRefusal::too_many_calls,
                           std::to_string(calls_.most()) + " calls are there");
    auto method = found->first.substr(std::string_view("/kata_vfio.v1.").size());
    // The context is there until the call's OnDone, which comes after its end.
    Call::Hooks hooks;
    hooks.place = std::move(place);
    hooks.refused = [&core = core_, context, method = std::move(method)](std::string_view reason,
                                                                         const std::string& text) {
        core.metrics.called(method, reason, {});
        log(Level::warning, method + ": refused: " + text + ", from " +
                                named(context->peer(), core.configuration().vfio.daemon));
    };
    // Whoever watches too knows by this when it has seen everything that the call did.
    hooks.ending = [&core = core_, context] {
        context->AddTrailingMetadata(std::string(rpc::revision_key),
                                     std::to_string(core.events->last()));
    };
    return found->second(std::move(hooks))->begin();
}

Listed::Listed(std::string_view service) : path_("/" + std::string(service) + "/") {
    using Handler = grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>;
    AddMethod(new grpc::internal::RpcServiceMethod(path_.c_str(),
                                                   grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodRawCallback(0, new Handler([this](grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer*, grpc::ByteBuffer*) {
                              auto* reactor = context->DefaultReactor();
                              reactor->Finish(
                                  rpc::status_of(rpc::ServiceRefusal::unknown_method,
                                                 "there is no method " + quoted(path_)));
                              return reactor;
                          }));
}

} // namespace kata_vfio::daemon
