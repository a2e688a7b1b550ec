// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"
#include "runtime-plugin/shim/future.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::shim {

/// libkata_vfio.so as this shim's: one plugin, one sandbox, through the C ABI alone. Its callbacks
/// come on threads of its own and go on in the io_context's.
class Plugin {
  public:
    /// Loads it and reads the configuration. Throws Failure.
    /// `late_config`: for giving back what a broken configuration must not keep.
    Plugin(boost::asio::io_context& io, const std::string& config_path, bool late_config);
    ~Plugin();
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;

    struct Attached {
        std::string device, guest_address;
    };

    // Each throws Failure with the plugin's whole text.
    /// Gives the devices that the annotations (or the configuration) asked for. The sandbox belongs
    /// to this process: when it has died, reconcile gives back what the sandbox has.
    boost::asio::awaitable<std::vector<Attached>>
    open(std::string id, std::string monitor, std::map<std::string, std::string> annotations);
    boost::asio::awaitable<std::vector<Attached>> attach(std::string device);
    boost::asio::awaitable<void> detach(std::string device);
    /// By id; a sandbox that is not remembered is no failure.
    boost::asio::awaitable<void> release(std::string id);
    /// The same for where there is no loop to go on: waits at most `patience`.
    void release_now(const std::string& id, std::chrono::milliseconds patience);

  private:
    struct Ended;
    using Start = std::function<kata_vfio_status_t(kata_vfio_call_t*)>;
    boost::asio::awaitable<std::shared_ptr<Ended>> run(std::string what, Start start);

    static void on_log(void*, int32_t level, kata_vfio_str_t line);
    static void on_done(void* user_data, const kata_vfio_result_t* result);

    boost::asio::io_context& io_;
    const kata_vfio_entry_t* entry_;
    kata_vfio_plugin_t* plugin_ = nullptr;
    kata_vfio_sandbox_t* sandbox_ = nullptr;
};

} // namespace kata_vfio::shim
