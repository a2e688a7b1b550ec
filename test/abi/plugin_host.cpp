// SPDX-License-Identifier: Apache-2.0
#include "test/abi/plugin_host.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <stdexcept>

namespace kata_vfio::abi_test {
namespace {

kata_vfio_status_t open_plugin(const std::filesystem::path& config,
                               const std::filesystem::path& root, const kata_vfio_host_t* host,
                               kata_vfio_plugin_t** plugin, std::string& text,
                               std::uint32_t flags = 0) {
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.flags = flags;
    options.config_path = view(config.native());
    options.host_root = view(root.native());
    std::array<char, 4096> error{};
    const auto status = library().plugin_open(host, &options, plugin, error.data(), error.size());
    text = error.data();
    return status;
}

std::uint64_t started(kata_vfio_status_t status, const kata_vfio_call_t& call) {
    if (status != KATA_VFIO_OK)
        throw std::runtime_error(std::string("the call was refused: ") +
                                 library().status_name(status));
    return call.ticket;
}

} // namespace

struct PluginHost::Heard {
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> log, warnings, steps, gone, monitor;
    std::string awaited;
    std::function<void(std::uint64_t)> action;
};

PluginHost::PluginHost(const std::filesystem::path& config, const std::filesystem::path& root,
                       std::uint32_t flags)
    : heard_(std::make_unique<Heard>()) {
    kata_vfio_host_t host = KATA_VFIO_INIT(host);
    host.user_data = this;
    host.log = on_log;
    host.event = on_event;
    std::string text;
    if (open_plugin(config, root, &host, &plugin_, text, flags) != KATA_VFIO_OK)
        throw std::runtime_error(text);
}

PluginHost::~PluginHost() {
    for (auto* sandbox : open_)
        library().sandbox_close(sandbox);
    library().plugin_close(plugin_);
}

void PluginHost::on_log(void* self, std::int32_t level, kata_vfio_str_t line) {
    auto& heard = *static_cast<PluginHost*>(self)->heard_;
    const std::lock_guard lock(heard.mutex);
    heard.log.push_back(copy(line));
    if (level <= KATA_VFIO_LOG_WARNING)
        heard.warnings.push_back(copy(line));
    heard.changed.notify_all();
}

void PluginHost::on_event(void* self, const kata_vfio_event_t* event) {
    auto& heard = *static_cast<PluginHost*>(self)->heard_;
    std::function<void(std::uint64_t)> action;
    {
        const std::lock_guard lock(heard.mutex);
        const auto text = copy(event->text);
        if (event->kind == KATA_VFIO_EVENT_STEP) {
            heard.steps.push_back(text);
            if (!heard.awaited.empty() && text.starts_with(heard.awaited))
                action = heard.action;
        } else if (event->kind == KATA_VFIO_EVENT_MONITOR) {
            heard.monitor.push_back(text);
        } else {
            heard.gone.push_back(text);
        }
        heard.changed.notify_all();
    }
    if (action)
        action(event->ticket);
}

std::uint64_t PluginHost::start_open(std::string_view id, std::string_view socket,
                                     const Annotations& annotations, std::int64_t owner) {
    std::vector<kata_vfio_pair_t> pairs;
    for (const auto& [key, value] : annotations)
        pairs.push_back({view(key), view(value)});
    kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
    options.id = view(id);
    options.qmp_socket = view(socket);
    options.annotations = pairs.data();
    options.annotation_count = pairs.size();
    options.owner_pid = owner;
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return started(library().sandbox_open(plugin_, &options, &call), call);
}

std::uint64_t PluginHost::start_attach(kata_vfio_sandbox_t* sandbox, std::string_view device,
                                       std::string_view uuid, std::uint32_t flags) {
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    request.device = view(device);
    request.uuid = view(uuid);
    request.flags = flags;
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return started(library().attach(sandbox, &request, &call), call);
}

std::uint64_t PluginHost::start_detach(kata_vfio_sandbox_t* sandbox, std::string_view device) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return started(library().detach(sandbox, view(device), &call), call);
}

std::uint64_t PluginHost::start_list(std::string_view id) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return started(library().list(plugin_, view(id), &call), call);
}

std::uint64_t PluginHost::start_release(std::string_view id) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return started(library().sandbox_release(plugin_, view(id), &call), call);
}

Answer PluginHost::wait(std::uint64_t ticket) {
    kata_vfio_result_t* result = nullptr;
    const auto status = library().wait(plugin_, ticket, -1, &result);
    if (!result)
        throw std::runtime_error(std::string("wait gave nothing: ") +
                                 library().status_name(status));
    Answer answer(*result);
    library().result_free(result);
    if (answer.status != status || answer.ticket != ticket)
        throw std::runtime_error("wait and its result do not agree");
    if (answer.sandbox) {
        const std::lock_guard lock(heard_->mutex);
        open_.push_back(answer.sandbox);
    }
    return answer;
}

Answer PluginHost::open(std::string_view id, std::string_view socket,
                        const Annotations& annotations, std::int64_t owner) {
    return wait(start_open(id, socket, annotations, owner));
}
Answer PluginHost::attach(kata_vfio_sandbox_t* sandbox, std::string_view device,
                          std::string_view uuid, std::uint32_t flags) {
    return wait(start_attach(sandbox, device, uuid, flags));
}
Answer PluginHost::detach(kata_vfio_sandbox_t* sandbox, std::string_view device) {
    return wait(start_detach(sandbox, device));
}
Answer PluginHost::list(std::string_view id) {
    return wait(start_list(id));
}
Answer PluginHost::reconcile(bool dry_run, std::string_view id) {
    kata_vfio_reconcile_t options = KATA_VFIO_INIT(options);
    options.flags = dry_run ? KATA_VFIO_RECONCILE_DRY_RUN : 0;
    options.sandbox_id = view(id);
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    return wait(started(library().reconcile(plugin_, &options, &call), call));
}
Answer PluginHost::release(std::string_view id) {
    return wait(start_release(id));
}

void PluginHost::cancel(std::uint64_t ticket) {
    library().cancel(plugin_, ticket);
}

void PluginHost::close(kata_vfio_sandbox_t* sandbox) {
    {
        const std::lock_guard lock(heard_->mutex);
        std::erase(open_, sandbox);
    }
    library().sandbox_close(sandbox);
}

void PluginHost::close_plugin() {
    open_.clear();
    library().plugin_close(plugin_); // its callbacks may still look at plugin_
    plugin_ = nullptr;
}

std::vector<std::string> PluginHost::log() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->log;
}

std::vector<std::string> PluginHost::steps() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->steps;
}

std::string PluginHost::wait_log(std::string_view part) {
    std::unique_lock lock(heard_->mutex);
    auto found = heard_->log.end();
    heard_->changed.wait(lock, [&] {
        found = std::find_if(heard_->log.begin(), heard_->log.end(), [&](const auto& line) {
            return line.find(part) != std::string::npos;
        });
        return found != heard_->log.end();
    });
    return *found;
}
std::string PluginHost::wait_qemu_gone() {
    std::unique_lock lock(heard_->mutex);
    heard_->changed.wait(lock, [this] { return !heard_->gone.empty(); });
    return heard_->gone.front();
}

std::string PluginHost::wait_monitor(std::string_view part) {
    std::unique_lock lock(heard_->mutex);
    std::string found;
    heard_->changed.wait(lock, [&] {
        for (const auto& text : heard_->monitor)
            if (text.find(part) != std::string::npos)
                found = text;
        return !found.empty();
    });
    return found;
}

std::vector<std::string> PluginHost::warnings() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->warnings;
}

std::vector<std::string> PluginHost::monitor_events() const {
    const std::lock_guard lock(heard_->mutex);
    return heard_->monitor;
}

void PluginHost::at_step(std::string step, std::function<void(std::uint64_t)> action) {
    const std::lock_guard lock(heard_->mutex);
    heard_->awaited = std::move(step);
    heard_->action = std::move(action);
}

void PluginHost::cancel_at(std::string step) {
    at_step(std::move(step), [this](std::uint64_t ticket) { cancel(ticket); });
}

Refusal refused_open(const std::filesystem::path& config, const std::filesystem::path& root) {
    kata_vfio_plugin_t* plugin = nullptr;
    Refusal refusal;
    refusal.status = open_plugin(config, root, nullptr, &plugin, refusal.text);
    library().plugin_close(plugin);
    return refusal;
}

} // namespace kata_vfio::abi_test
