// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/client/client_module.h"

#include "config/base/file.hpp"
#include "kata_vfio/v1/devices.grpc.pb.h"
#include "kata_vfio/v1/host.grpc.pb.h"
#include "kata_vfio/v1/operations.grpc.pb.h"
#include "kata_vfio/v1/qmp.grpc.pb.h"
#include "kata_vfio/v1/sandboxes.grpc.pb.h"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/rpc/json_message.hpp"
#include "runtime-plugin/rpc/refusal.hpp"

#include <boost/json.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <charconv>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace kata_vfio {
namespace {

namespace json = boost::json;
namespace pb = google::protobuf;

struct Client {
    std::shared_ptr<grpc::Channel> channel;
    std::mutex mutex;
    std::condition_variable changed;
    std::set<grpc::ClientContext*> running;
    bool steps_are_read = false;
    std::uint64_t seen = 0; ///< revision of the last event read
    bool stopped = false;
};

/// A context that stop() cancels.
class Running {
  public:
    explicit Running(Client& client) : client_(client) {
        const std::lock_guard lock(client_.mutex);
        client_.running.insert(&context);
    }
    ~Running() {
        const std::lock_guard lock(client_.mutex);
        client_.running.erase(&context);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    /// stop() was before it, and cancels nothing any more.
    bool too_late() const {
        const std::lock_guard lock(client_.mutex);
        return client_.stopped;
    }
    void require_in_time() const {
        if (too_late())
            throw Failure(Errc::cancelled, "cancelled before it began");
    }

    grpc::ClientContext context;

  private:
    Client& client_;
};

/// Whoever waits for steps waits no longer than they are read, however that ends.
class ReadingSteps {
  public:
    explicit ReadingSteps(Client& client) : client_(client) { set(true); }
    ~ReadingSteps() { set(false); }
    ReadingSteps(const ReadingSteps&) = delete;
    ReadingSteps& operator=(const ReadingSteps&) = delete;

  private:
    void set(bool read) {
        const std::lock_guard lock(client_.mutex);
        client_.steps_are_read = read;
        client_.changed.notify_all();
    }
    Client& client_;
};

/// Names each file of the API, so that their descriptors are linked and known to the pool.
const pb::MethodDescriptor* find_method(const std::string& name) {
    static const pb::Descriptor* const linked[] = {
        v1::CheckRequest::descriptor(), v1::AttachRequest::descriptor(),
        v1::OpenRequest::descriptor(), v1::ExecuteRequest::descriptor(),
        v1::CancelRequest::descriptor()};
    auto full = "kata_vfio.v1." + name;
    full.replace(full.rfind('/'), 1, ".");
    return linked[0]->file()->pool()->FindMethodByName(full);
}

std::unique_ptr<pb::Message> make(const pb::Descriptor* type) {
    return std::unique_ptr<pb::Message>(
        pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

grpc::ByteBuffer bytes_of(const pb::Message& message) {
    const grpc::Slice slice(message.SerializeAsString());
    return {&slice, 1};
}

std::string text_of(const grpc::ByteBuffer& buffer) {
    grpc::Slice slice;
    if (!buffer.DumpToSingleSlice(&slice).ok())
        throw Failure(Errc::internal, "the daemon's answer can't be read");
    return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

/// A call's end and its events come on streams of their own: its steps may still be on their way
/// when its answer is there. Waits for them, as long as somebody reads them.
void see_steps_of(Client& client, const grpc::ClientContext& call) {
    const auto& told = call.GetServerTrailingMetadata();
    const auto found = told.find(std::string(rpc::revision_key));
    if (found == told.end()) // the call never came to the daemon, or to one of another version
        return;
    std::uint64_t revision = 0;
    std::from_chars(found->second.begin(), found->second.end(), revision);
    std::unique_lock lock(client.mutex);
    client.changed.wait(
        lock, [&] { return !client.steps_are_read || client.stopped || client.seen >= revision; });
}

json::object call(Client& client, const std::string& name, std::string_view request) {
    const auto* method = find_method(name);
    if (!method)
        throw Failure(Errc::internal, "there is no method " + name);
    const auto input = make(method->input_type()), output = make(method->output_type());
    rpc::fill(*input, rpc::parse(request));
    const auto bytes = bytes_of(*input);
    grpc::GenericStub stub(client.channel);
    grpc::ByteBuffer answer;
    Running running(client);
    running.require_in_time();
    std::promise<grpc::Status> done;
    stub.UnaryCall(&running.context, "/kata_vfio.v1." + name, {}, &bytes, &answer,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    const auto status = done.get_future().get();
    see_steps_of(client, running.context);
    if (!status.ok())
        throw rpc::failure_of(status);
    if (!output->ParseFromString(text_of(answer)))
        throw Failure(Errc::internal, "the daemon's answer can't be read");
    return rpc::to_json(*output);
}

std::string pem(const char* path) {
    const auto text = read_file(path, 1u << 20);
    if (!text)
        throw Failure(Errc::invalid_argument,
                      std::string("the TLS file ") + path + " does not exist");
    return *text;
}

/// One frame of QMP's is 16 MiB, and bytes of it that are no UTF-8 become three each; a list of
/// every sandbox has none of that, and no limit.
constexpr int largest_answer = 64 << 20;

void* open(const char* address, const char* ca, const char* certificate, const char* key) {
    auto credentials = grpc::InsecureChannelCredentials();
    if (*ca || *certificate || *key) {
        grpc::SslCredentialsOptions options;
        try {
            if (*ca)
                options.pem_root_certs = pem(ca);
            if (*certificate)
                options.pem_cert_chain = pem(certificate);
            if (*key)
                options.pem_private_key = pem(key);
        } catch (const Failure&) {
            return nullptr;
        }
        credentials = grpc::SslCredentials(options);
    }
    auto client = std::make_unique<Client>();
    // A daemon that is stopped, or gone with its host, is told within half a minute: a call itself
    // may take as long as a guest does. The daemon takes such pings from 5 s on.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, largest_answer);
    client->channel = grpc::CreateCustomChannel(address, credentials, arguments);
    return client.release();
}

void close(void* client) {
    delete static_cast<Client*>(client);
}

void tell_end(kata_vfio_client_answer end, void* user_data,
              const std::function<json::object()>& work) {
    json::object told;
    int failed = 0;
    try {
        told = work();
    } catch (...) {
        failed = 1;
        told = plugin::failure_json(plugin::failure_from(std::current_exception()));
    }
    const auto text = json::serialize(told);
    end(user_data, failed, text.data(), text.size());
}

void call_and_tell(void* client, const char* method, const char* request, size_t length,
                   kata_vfio_client_answer answer, void* user_data) {
    tell_end(answer, user_data, [&] {
        return call(*static_cast<Client*>(client), method, {request, length});
    });
}

void steps(void* opened, kata_vfio_client_message message, void* user_data) {
    auto& client = *static_cast<Client*>(opened);
    Running running(client);
    if (running.too_late())
        return;
    const ReadingSteps reading(client);
    v1::WatchRequest request;
    request.set_steps(true);
    const auto stream = v1::Sandboxes::NewStub(client.channel)->Watch(&running.context, request);
    v1::WatchResponse response;
    while (stream->Read(&response)) {
        const auto text =
            response.has_event() ? json::serialize(rpc::to_json(response.event())) : "{}";
        message(user_data, text.data(), text.size());
        const std::lock_guard lock(client.mutex);
        client.seen =
            response.has_event() ? response.event().revision() : response.snapshot().revision();
        client.changed.notify_all();
    }
    (void)stream->Finish();
}

template <class Request, class Response>
using StreamMethod = std::unique_ptr<grpc::ClientReader<Response>> (v1::Qmp::Stub::*)(
    grpc::ClientContext*, const Request&);

template <class Request, class Response>
void follow(Client& client, StreamMethod<Request, Response> method, std::string_view text,
            const std::function<void(const std::string&)>& message) {
    Running running(client);
    running.require_in_time();
    Request request;
    rpc::fill(request, rpc::parse(text));
    const auto stub = v1::Qmp::NewStub(client.channel);
    const auto stream = (stub.get()->*method)(&running.context, request);
    Response response;
    while (stream->Read(&response))
        message(json::serialize(rpc::to_json(response)));
    if (const auto status = stream->Finish(); !status.ok())
        throw rpc::failure_of(status);
}

void stream(void* opened, const char* method, const char* request, size_t length,
            kata_vfio_client_message message, kata_vfio_client_answer end, void* user_data) {
    auto& client = *static_cast<Client*>(opened);
    const std::function<void(const std::string&)> tell = [&](const std::string& text) {
        message(user_data, text.data(), text.size());
    };
    tell_end(end, user_data, [&]() -> json::object {
        const std::string_view name = method, text{request, length};
        if (name == "Qmp/Events")
            follow<v1::EventsRequest, v1::EventsResponse>(client, &v1::Qmp::Stub::Events, text,
                                                          tell);
        else if (name == "Qmp/Trace")
            follow<v1::TraceRequest, v1::TraceRecord>(client, &v1::Qmp::Stub::Trace, text, tell);
        else
            throw Failure(Errc::internal, "there is no stream " + std::string(name));
        return {};
    });
}

void stop(void* opened) {
    auto& client = *static_cast<Client*>(opened);
    const std::lock_guard lock(client.mutex);
    client.stopped = true;
    client.changed.notify_all();
    for (auto* context : client.running)
        context->TryCancel();
}

} // namespace
} // namespace kata_vfio

extern "C" {
extern __attribute__((visibility("default"))) const kata_vfio_client_module kata_vfio_client_module;
const struct kata_vfio_client_module kata_vfio_client_module = {
    sizeof(struct kata_vfio_client_module),
    KATA_VFIO_VERSION,
    kata_vfio::open,
    kata_vfio::close,
    kata_vfio::call_and_tell,
    kata_vfio::steps,
    kata_vfio::stream,
    kata_vfio::stop,
};
}
