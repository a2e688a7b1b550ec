// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/plugin_instance.hpp"

#include "runtime-plugin/daemon/log.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include <array>
#include <atomic>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace {

std::atomic<PluginInstance::Id> next_id{1};

} // namespace

struct PluginInstance::Pending {
    using Handler = asio::any_completion_handler<void(Finished)>;

    Pending(asio::io_context& io, Handler h) : loop(io), handler(std::move(h)) {}
    /// The loop keeps running until this has come, even when it has nothing else to do.
    asio::io_context& loop;
    asio::executor_work_guard<asio::io_context::executor_type> work{loop.get_executor()};
    Handler handler;
};

PluginInstance::PluginInstance(asio::io_context& loop, const kata_vfio_entry_t& entry,
                               const std::string& config, const std::string& root, OnEvent on_event)
    : loop_(loop), entry_(entry), id_(next_id++),
      on_event_(std::make_shared<OnEvent>(std::move(on_event))) {
    kata_vfio_host_t services = KATA_VFIO_INIT(services);
    services.user_data = this;
    services.log = on_log;
    services.event = PluginInstance::on_event;
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.config_path = view(config);
    options.host_root = view(root);
    std::array<char, 16384> text{};
    const auto status = entry_.plugin_open(&services, &options, &plugin_, text.data(), text.size());
    if (status != KATA_VFIO_OK) {
        const auto code = static_cast<Errc>(status);
        throw Failure(code, text[0] ? std::string(text.data()) : std::string(meaning(code)));
    }
}

PluginInstance::~PluginInstance() {
    entry_.plugin_close(plugin_);
}

asio::awaitable<Finished> PluginInstance::call(Start start, Started started) {
    // Once cancelled, the end is still waited for: what was begun is being undone.
    co_await asio::this_coro::throw_if_cancelled(false);
    auto initiate = [this, &start, &started](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto pending = std::make_unique<Pending>(loop_, Pending::Handler(std::move(handler)));
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        call.callback = on_done;
        call.user_data = pending.get();
        if (const auto status = start(&call); status != KATA_VFIO_OK) {
            const auto code = static_cast<Errc>(status);
            Finished finished;
            finished.failure = Failure(code, std::string(meaning(code)));
            asio::post(loop_, [pending = std::move(pending), finished]() mutable {
                std::move(pending->handler)(std::move(finished));
            });
            return;
        }
        pending.release(); // on_done's now
        if (slot.is_connected())
            slot.assign([this, ticket = call.ticket](asio::cancellation_type) {
                entry_.cancel(plugin_, ticket);
            });
        if (started)
            started(call.ticket);
    };
    auto finished = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Finished)>(
        std::move(initiate), asio::use_awaitable);
    if (finished.failure)
        throw Failure(*finished.failure);
    co_return finished;
}

void PluginInstance::on_done(void* user_data, const kata_vfio_result_t* result) {
    std::unique_ptr<Pending> pending(static_cast<Pending*>(user_data));
    Finished finished;
    finished.failure = failure_in(*result);
    if (!finished.failure && result->json.len)
        finished.json = boost::json::parse({result->json.ptr, result->json.len}).as_object();
    finished.sandbox = result->sandbox;
    auto& loop = pending->loop;
    asio::post(loop, [pending = std::move(pending), finished = std::move(finished)]() mutable {
        std::move(pending->handler)(std::move(finished));
    });
}

void PluginInstance::on_log(void*, std::int32_t level, kata_vfio_str_t line) {
    log(level < 0 || level > 3 ? Level::debug : static_cast<Level>(level), {line.ptr, line.len});
}

void PluginInstance::on_event(void* self, const kata_vfio_event_t* event) {
    auto& instance = *static_cast<PluginInstance*>(self);
    PluginEvent told{instance.id_, event->kind, copy(event->sandbox), event->ticket,
                     copy(event->text)};
    asio::post(instance.loop_, [on_event = instance.on_event_, told = std::move(told)]() mutable {
        (*on_event)(std::move(told));
    });
}

} // namespace kata_vfio::daemon
