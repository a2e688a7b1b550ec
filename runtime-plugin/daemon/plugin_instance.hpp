// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/abi/host_side.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::daemon {

/// How a call of the plugin's ended.
struct Finished {
    std::optional<Failure> failure;
    boost::json::object json;
    kata_vfio_sandbox_t* sandbox = nullptr; ///< sandbox_open
};

/// Something the plugin has told of; as kata_vfio_event_t.
struct PluginEvent {
    std::uint64_t instance = 0; ///< its id()
    std::uint32_t kind = 0;
    std::string sandbox;
    std::uint64_t ticket = 0;
    std::string text;
};

/// One opening of the plugin, with one reading of the configuration, through the C ABI alone.
/// Everything but the constructor and the destructor, which block, is called on the loop's thread,
/// and everything is told there.
class PluginInstance {
  public:
    using OnEvent = std::function<void(PluginEvent)>;

    /// Throws Failure: config_invalid and the like, with the plugin's text.
    PluginInstance(boost::asio::io_context& loop, const kata_vfio_entry_t& entry,
                   const std::string& config, const std::string& root, OnEvent on_event);
    /// Cancels what runs and waits for it; the loop must be running, or never run again.
    ~PluginInstance();
    PluginInstance(const PluginInstance&) = delete;
    PluginInstance& operator=(const PluginInstance&) = delete;

    const kata_vfio_entry_t& entry() const noexcept { return entry_; }
    /// Tickets are numbers of one instance.
    using Id = std::uint64_t;
    Id id() const noexcept { return id_; }
    kata_vfio_plugin_t* plugin() const noexcept { return plugin_; }

    using Start = std::function<kata_vfio_status_t(kata_vfio_call_t*)>;
    using Started = std::function<void(std::uint64_t ticket)>;
    /// Starts a call and waits for its end. A cancellation of the coroutine cancels the call in the
    /// plugin, and waits for its end all the same: undone, or done. Throws what it failed with.
    boost::asio::awaitable<Finished> call(Start start, Started started = {});

  private:
    struct Pending;
    static void on_log(void* self, std::int32_t level, kata_vfio_str_t line);
    static void on_event(void* self, const kata_vfio_event_t* event);
    static void on_done(void* pending, const kata_vfio_result_t* result);

    boost::asio::io_context& loop_;
    const kata_vfio_entry_t& entry_;
    Id id_;
    /// Shared: an event may still be on its way through the loop when this is gone.
    std::shared_ptr<OnEvent> on_event_;
    kata_vfio_plugin_t* plugin_ = nullptr;
};

} // namespace kata_vfio::daemon
