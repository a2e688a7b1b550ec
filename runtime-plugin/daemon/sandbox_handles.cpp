// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/sandbox_handles.hpp"

#include "runtime-plugin/daemon/pool.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include <boost/asio/as_tuple.hpp>

#include <vector>

namespace kata_vfio::daemon {
namespace asio = boost::asio;

struct SandboxHandles::Open {
    Open(asio::io_context& loop, std::shared_ptr<PluginInstance> in, kata_vfio_sandbox_t* of)
        : instance(std::move(in)), handle(of), unused(loop, asio::steady_timer::time_point::max()) {
    }

    std::shared_ptr<PluginInstance> instance;
    kata_vfio_sandbox_t* handle;
    std::string qmp_socket; ///< as it was asked for; "" when it was opened as remembered
    std::size_t users = 0;
    bool lost = false;
    /// Never expires: cancelled when the last user has gone.
    asio::steady_timer unused;
};

SandboxHandles::Lease::Lease(std::shared_ptr<Open> open) : open_(std::move(open)) {
    ++open_->users;
}

SandboxHandles::Lease::~Lease() {
    if (open_ && --open_->users == 0)
        open_->unused.cancel();
}

kata_vfio_sandbox_t* SandboxHandles::Lease::handle() const {
    return open_->handle;
}

PluginInstance& SandboxHandles::Lease::instance() const {
    return *open_->instance;
}

std::shared_ptr<SandboxHandles::Gate> SandboxHandles::gate(const std::string& id) {
    tidy_gates();
    auto& gate = gates_[id];
    if (!gate)
        gate = std::make_shared<Gate>(loop_.get_executor());
    return gate;
}

/// Gates of sandboxes that are not open and that nobody is at.
void SandboxHandles::tidy_gates() {
    if (gates_.size() < 2 * open_.size() + 64)
        return;
    std::erase_if(gates_, [&](const auto& each) {
        return each.second.use_count() == 1 && !open_.contains(each.first);
    });
}

asio::awaitable<SandboxHandles::Lease> SandboxHandles::acquire(std::string id,
                                                               PluginInstance::Started started) {
    plugin::require_sandbox_id(id);
    const auto usable = [&]() -> std::shared_ptr<Open> {
        const auto found = open_.find(id);
        if (found == open_.end() || found->second->lost || found->second->instance != instance_)
            return nullptr;
        return found->second;
    };
    if (auto open = usable())
        co_return Lease(std::move(open));
    const auto keep = gate(id);
    const auto turn = co_await keep->turns.enter();
    if (auto open = usable()) // somebody was faster
        co_return Lease(std::move(open));
    co_await close_now(id);
    Options options;
    auto open = co_await open_now(id, std::move(options), std::move(started));
    co_return Lease(std::move(open));
}

asio::awaitable<bool> SandboxHandles::open(std::string id, Options options,
                                           PluginInstance::Started started) {
    plugin::require_sandbox_id(id);
    const auto keep = gate(id);
    const auto turn = co_await keep->turns.enter();
    if (const auto found = open_.find(id); found != open_.end()) {
        const auto& open = *found->second;
        const bool as_it_is = options.annotations.empty() && options.owner_pid == 0 &&
                              (options.qmp_socket.empty() || options.qmp_socket == open.qmp_socket);
        if (as_it_is && !open.lost && open.instance == instance_)
            co_return false;
    }
    co_await close_now(id);
    co_await open_now(std::move(id), std::move(options), std::move(started));
    co_return true;
}

asio::awaitable<std::shared_ptr<SandboxHandles::Open>>
SandboxHandles::open_now(std::string id, Options options, PluginInstance::Started started) {
    const auto instance = instance_;
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        std::vector<kata_vfio_pair_t> annotations;
        for (const auto& [key, value] : options.annotations)
            annotations.push_back({view(key), view(value)});
        kata_vfio_sandbox_options_t given = KATA_VFIO_INIT(given);
        given.id = view(id);
        given.qmp_socket = view(options.qmp_socket);
        given.annotations = annotations.data();
        given.annotation_count = annotations.size();
        given.owner_pid = options.owner_pid;
        return instance->entry().sandbox_open(instance->plugin(), &given, call);
    };
    const auto finished = co_await instance->call(std::move(start), std::move(started));
    auto open = std::make_shared<Open>(loop_, instance, finished.sandbox);
    open->qmp_socket = options.qmp_socket;
    open_[id] = open;
    co_return open;
}

/// Waits for those who use it, and closes it. Call with the gate's turn.
asio::awaitable<void> SandboxHandles::close_now(std::string id) {
    const auto found = open_.find(id);
    if (found == open_.end())
        co_return;
    const auto open = found->second;
    open->lost = true; // no more users
    // Closing is not given up half way, whoever has asked for it.
    co_await asio::this_coro::reset_cancellation_state();
    while (open->users > 0)
        co_await open->unused.async_wait(asio::as_tuple(asio::use_awaitable));
    open_.erase(id);
    std::function<bool()> close = [open] {
        open->instance->entry().sandbox_close(open->handle);
        return true;
    };
    co_await on_pool<bool>(pool_, std::move(close));
}

asio::awaitable<Finished> SandboxHandles::release(std::string id, PluginInstance::Started started) {
    plugin::require_sandbox_id(id);
    const auto keep = gate(id);
    const auto turn = co_await keep->turns.enter();
    if (const auto found = open_.find(id);
        found != open_.end() && found->second->instance != instance_)
        co_await close_now(id);
    const auto instance = instance_;
    PluginInstance::Start start = [&](kata_vfio_call_t* call) {
        return instance->entry().sandbox_release(instance->plugin(), view(id), call);
    };
    auto finished = co_await instance->call(std::move(start), std::move(started));
    co_await close_now(id);
    co_return finished;
}

void SandboxHandles::lost(const std::string& id) {
    if (const auto found = open_.find(id); found != open_.end())
        found->second->lost = true;
}

std::vector<std::string> SandboxHandles::ids() const {
    std::vector<std::string> all;
    for (const auto& [id, open] : open_)
        all.push_back(id);
    return all;
}

asio::awaitable<void> SandboxHandles::move_idle() {
    const auto all = ids();
    for (const auto& id : all) {
        const auto keep = gate(id);
        const auto turn = co_await keep->turns.enter();
        const auto found = open_.find(id);
        if (found != open_.end() && found->second->instance != instance_)
            co_await close_now(id);
    }
}

asio::awaitable<void> SandboxHandles::close_all() {
    const auto all = ids();
    for (const auto& id : all) {
        const auto keep = gate(id);
        const auto turn = co_await keep->turns.enter();
        co_await close_now(id);
    }
}

} // namespace kata_vfio::daemon
