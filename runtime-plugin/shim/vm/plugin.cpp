// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/plugin.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/abi/host_side.hpp"
#include "runtime-plugin/cli/plugin_library.hpp"
#include "runtime-plugin/shim/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <unistd.h>

#include <array>
#include <optional>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;

/// A call's end, copied out of the callback that told it.
struct Plugin::Ended {
    explicit Ended(asio::io_context& context)
        : io(context), done(context), work(context.get_executor()) {}

    asio::io_context& io;
    Future<bool> done;
    /// The loop must not run dry while only the plugin's threads have work.
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::shared_ptr<Ended> self; ///< held by the call under way
    std::optional<Failure> failure;
    kata_vfio_sandbox_t* sandbox = nullptr;
    std::vector<Attached> attached;
};

Plugin::Plugin(asio::io_context& io, const std::string& config_path, bool late_config)
    : io_(io), entry_(cli::load_plugin()) {
    kata_vfio_host_t services = KATA_VFIO_INIT(services);
    services.user_data = this;
    services.log = on_log;
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.flags = late_config ? KATA_VFIO_PLUGIN_LATE_CONFIG : 0;
    options.config_path = view(config_path);
    std::array<char, 16384> text{};
    const auto status =
        entry_->plugin_open(&services, &options, &plugin_, text.data(), text.size());
    if (status != KATA_VFIO_OK)
        throw Failure(static_cast<Errc>(status), text.data());
}

Plugin::~Plugin() {
    if (sandbox_)
        entry_->sandbox_close(sandbox_);
    entry_->plugin_close(plugin_);
}

awaitable<std::shared_ptr<Plugin::Ended>> Plugin::run(std::string what, Start start) {
    const auto ended = std::make_shared<Ended>(io_);
    ended->self = ended;
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    call.callback = on_done;
    call.user_data = ended.get();
    if (const auto status = start(&call); status != KATA_VFIO_OK) {
        ended->self.reset();
        throw Failure(static_cast<Errc>(status), what + ": the plugin did not take the call")
            .said(std::string(meaning(static_cast<Errc>(status))));
    }
    co_await ended->done.wait();
    if (ended->failure)
        throw Failure(*ended->failure);
    co_return ended;
}

void Plugin::on_done(void* user_data, const kata_vfio_result_t* result) {
    auto& ended = *static_cast<Ended*>(user_data);
    ended.failure = failure_in(*result);
    ended.sandbox = result->sandbox;
    for (std::size_t i = 0; i < result->attachment_count; ++i)
        ended.attached.push_back(
            {copy(result->attachments[i]->device), copy(result->attachments[i]->guest_address)});
    asio::post(ended.io, [held = std::move(ended.self)] { held->done.set(true); });
}

void Plugin::on_log(void*, int32_t level, kata_vfio_str_t line) {
    constexpr std::array levels{LogLevel::error, LogLevel::warning, LogLevel::info,
                                LogLevel::debug};
    log_line(levels[static_cast<std::size_t>(level) & 3], copy(line), {{"from", "plugin"}});
}

awaitable<std::vector<Plugin::Attached>>
Plugin::open(std::string id, std::string monitor, std::map<std::string, std::string> annotations) {
    std::vector<kata_vfio_pair_t> pairs;
    for (const auto& [key, value] : annotations)
        pairs.push_back({view(key), view(value)});
    Start start = [&](kata_vfio_call_t* call) {
        kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
        options.id = view(id);
        options.qmp_socket = view(monitor);
        options.annotations = pairs.data();
        options.annotation_count = pairs.size();
        options.owner_pid = ::getpid();
        return entry_->sandbox_open(plugin_, &options, call);
    };
    std::string what = "opening the sandbox";
    const auto ended = co_await run(std::move(what), std::move(start));
    sandbox_ = ended->sandbox;
    Start list = [&](kata_vfio_call_t* call) { return entry_->list(plugin_, view(id), call); };
    what = "listing the sandbox's devices";
    const auto listed = co_await run(std::move(what), std::move(list));
    co_return listed->attached;
}

awaitable<std::vector<Plugin::Attached>> Plugin::attach(std::string device) {
    Start start = [&](kata_vfio_call_t* call) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(device);
        return entry_->attach(sandbox_, &request, call);
    };
    std::string what = "attaching " + device;
    const auto ended = co_await run(std::move(what), std::move(start));
    co_return ended->attached;
}

awaitable<void> Plugin::detach(std::string device) {
    Start start = [&](kata_vfio_call_t* call) {
        return entry_->detach(sandbox_, view(device), call);
    };
    std::string what = "detaching " + device;
    co_await run(std::move(what), std::move(start));
}

awaitable<void> Plugin::release(std::string id) {
    Start start = [&](kata_vfio_call_t* call) {
        return entry_->sandbox_release(plugin_, view(id), call);
    };
    std::string what = "releasing the sandbox";
    try {
        co_await run(std::move(what), std::move(start));
    } catch (const Failure& failure) {
        if (failure.code() != Errc::sandbox_not_found)
            throw;
    }
}

void Plugin::release_now(const std::string& id, std::chrono::milliseconds patience) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    if (const auto status = entry_->sandbox_release(plugin_, view(id), &call);
        status != KATA_VFIO_OK)
        throw Failure(static_cast<Errc>(status), "the plugin did not take the call");
    kata_vfio_result_t* result = nullptr;
    const auto status = entry_->wait(plugin_, call.ticket, patience.count(), &result);
    std::optional<Failure> failure;
    if (!result)
        failure = Failure(Errc::host_timeout, "the devices are not given back yet");
    else if (status != KATA_VFIO_OK && status != KATA_VFIO_E_SANDBOX_NOT_FOUND)
        failure = failure_in(*result);
    entry_->result_free(result);
    if (failure)
        throw Failure(*failure);
}

} // namespace kata_vfio::shim
