// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"

#include <dlfcn.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kata_vfio::scenario {

/// How a call ended, copied.
struct Ending {
    kata_vfio_status_t status = KATA_VFIO_OK;
    std::string name; ///< of the status, "no_instances"
    std::string message;
    std::string id, uuid; ///< of the first attachment

    bool ok() const { return status == KATA_VFIO_OK; }
};

/// The plugin as a runtime has it: the library, loaded, one plugin instance and at most one
/// sandbox. Blocking; one thread. Keeps nothing of what the plugin tells, so that memory can be
/// measured: only whether one line, chosen beforehand, has been logged.
class LoadedPlugin {
  public:
    /// Throws std::runtime_error with the plugin's own words. `awaited`: part of a line for
    /// await_line().
    LoadedPlugin(const char* library, std::string_view config, std::string awaited = {})
        : awaited_(std::move(awaited)) {
        void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            throw std::runtime_error(::dlerror()); // NOLINT(concurrency-mt-unsafe): one thread
        entry_ = static_cast<const kata_vfio_entry_t*>(::dlsym(handle, KATA_VFIO_ENTRY_SYMBOL));
        if (!kata_vfio_compatible(entry_))
            throw std::runtime_error("not a kata-vfio plugin of this ABI");
        kata_vfio_host_t host = KATA_VFIO_INIT(host);
        host.user_data = this;
        host.log = on_log;
        kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
        options.config_path = view(config);
        char error[1024] = "";
        if (entry_->plugin_open(&host, &options, &plugin_, error, sizeof error) != KATA_VFIO_OK)
            throw std::runtime_error(error);
    }
    ~LoadedPlugin() {
        entry_->sandbox_close(sandbox_);
        entry_->plugin_close(plugin_);
    }
    LoadedPlugin(const LoadedPlugin&) = delete;
    LoadedPlugin& operator=(const LoadedPlugin&) = delete;

    Ending open(std::string_view id, std::string_view qmp_socket) {
        kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
        options.id = view(id);
        options.qmp_socket = view(qmp_socket);
        kata_vfio_result_t* result = nullptr;
        const auto status = kata_vfio_open_and_wait(entry_, plugin_, &options, &result);
        if (status == KATA_VFIO_OK)
            sandbox_ = result->sandbox;
        return ending(status, result);
    }
    Ending attach(std::string_view device) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(device);
        kata_vfio_result_t* result = nullptr;
        const auto status = kata_vfio_attach_and_wait(entry_, plugin_, sandbox_, &request, &result);
        return ending(status, result);
    }
    Ending detach(std::string_view device) {
        kata_vfio_result_t* result = nullptr;
        const auto status =
            kata_vfio_detach_and_wait(entry_, plugin_, sandbox_, view(device), &result);
        return ending(status, result);
    }
    Ending release(std::string_view id) {
        kata_vfio_result_t* result = nullptr;
        const auto status = kata_vfio_release_and_wait(entry_, plugin_, view(id), &result);
        return ending(status, result);
    }
    /// Blocks until the awaited line has been logged, and gives it.
    std::string await_line() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !line_.empty(); });
        return line_;
    }

  private:
    static kata_vfio_str_t view(std::string_view text) { return {text.data(), text.size()}; }
    static std::string copy(kata_vfio_str_t text) {
        return text.len ? std::string(text.ptr, text.len) : std::string();
    }
    static void on_log(void* self, std::int32_t, kata_vfio_str_t line) {
        auto& plugin = *static_cast<LoadedPlugin*>(self);
        const std::lock_guard lock(plugin.mutex_);
        if (plugin.awaited_.empty() || !plugin.line_.empty() ||
            std::string_view(line.ptr, line.len).find(plugin.awaited_) == std::string_view::npos)
            return;
        plugin.line_ = copy(line);
        plugin.changed_.notify_all();
    }
    Ending ending(kata_vfio_status_t status, kata_vfio_result_t* result) const {
        Ending end{status, entry_->status_name(status), {}, {}, {}};
        if (result) {
            end.message = copy(result->message);
            if (result->attachment_count > 0) {
                end.id = copy(result->attachments[0]->id);
                end.uuid = copy(result->attachments[0]->uuid);
            }
        }
        entry_->result_free(result);
        return end;
    }

    const kata_vfio_entry_t* entry_ = nullptr;
    kata_vfio_plugin_t* plugin_ = nullptr;
    kata_vfio_sandbox_t* sandbox_ = nullptr;
    std::string awaited_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string line_;
};

} // namespace kata_vfio::scenario
