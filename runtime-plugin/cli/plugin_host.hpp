// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/abi/host_side.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/call_watch.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// What a call that succeeded gave.
struct Answer {
    boost::json::object json;
    kata_vfio_sandbox_t* sandbox = nullptr; ///< sandbox_open: to be closed by the caller
};

/// This command as a host of the plugin, through the C ABI alone. Everything but the plugin's
/// callbacks runs in the thread that made it.
///
/// SIGINT and SIGTERM during a call cancel it: the plugin undoes what it has done, which is shown
/// and waited for, and the call ends with Failure(cancelled). Further ones don't cut that short.
class PluginHost {
  public:
    enum class Config {
        must_be_good,
        may_be_bad, ///< for what gives devices back or only looks
    };
    /// Throws Failure: host_io (no plugin), abi_mismatch, config_invalid.
    PluginHost(const Arguments& arguments, Io& io, Config config = Config::must_be_good);
    ~PluginHost();
    PluginHost(const PluginHost&) = delete;
    PluginHost& operator=(const PluginHost&) = delete;

    const kata_vfio_entry_t& entry() const noexcept { return *entry_; }
    kata_vfio_plugin_t* plugin() const noexcept { return plugin_; }

    using Start = std::function<kata_vfio_status_t(kata_vfio_call_t*)>;
    /// Starts a call and waits for its end. Throws what it failed with, as a Failure.
    Answer call(const std::string& what, const Start& start);

  private:
    struct Ended;

    static void on_log(void* self, int32_t level, kata_vfio_str_t line);
    static void on_event(void* self, const kata_vfio_event_t* event);
    static void on_done(void* ended, const kata_vfio_result_t* result);

    Io& io_;
    bool verbose_;
    CallWatch watch_; ///< before the plugin: its threads must not take the signals
    /// A member, so that it outlives the call's callback whatever call() ends with.
    std::unique_ptr<Ended> ended_;
    const kata_vfio_entry_t* entry_;
    kata_vfio_plugin_t* plugin_ = nullptr;
};

} // namespace kata_vfio::cli
