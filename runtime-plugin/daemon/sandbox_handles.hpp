// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/daemon/plugin_instance.hpp"
#include "runtime-plugin/plugin/turnstile.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::daemon {

/// The sandboxes this daemon has open: a handle of the plugin's each, and with it the connection to
/// QEMU. All on the loop's thread; what blocks goes to the pool.
class SandboxHandles {
  public:
    struct Open;

    /// Keeps a handle from being closed while a call uses it.
    class Lease {
      public:
        explicit Lease(std::shared_ptr<Open> open);
        Lease(Lease&&) = default;
        Lease& operator=(Lease&&) = delete;
        ~Lease();
        kata_vfio_sandbox_t* handle() const;
        PluginInstance& instance() const;

      private:
        std::shared_ptr<Open> open_;
    };

    struct Options {
        Options() = default;
        std::string qmp_socket; ///< "": as remembered
        std::map<std::string, std::string> annotations;
        std::int64_t owner_pid = 0; ///< 0: none, or as remembered
    };

    SandboxHandles(boost::asio::io_context& loop, boost::asio::thread_pool& pool)
        : loop_(loop), pool_(pool) {}

    /// The plugin that sandboxes are opened in from now on. Those that are open move to it at their
    /// next use, or by move_idle().
    void use(std::shared_ptr<PluginInstance> instance) { instance_ = std::move(instance); }
    const std::shared_ptr<PluginInstance>& instance() const noexcept { return instance_; }

    /// The sandbox, opened as remembered if it is not open. Throws as sandbox_open.
    boost::asio::awaitable<Lease> acquire(std::string id, PluginInstance::Started started);
    /// Opens it; one that is open already and would not change is left as it is. Returns whether it
    /// was opened.
    boost::asio::awaitable<bool> open(std::string id, Options options,
                                      PluginInstance::Started started);
    /// Gives back all it has; the plugin's answer.
    boost::asio::awaitable<Finished> release(std::string id, PluginInstance::Started started);

    /// Its QEMU is gone: the next use opens it anew.
    void lost(const std::string& id);
    /// Closes what is open in another plugin than the present one, each as its calls end.
    boost::asio::awaitable<void> move_idle();
    /// Closes all; nothing may use them any more.
    boost::asio::awaitable<void> close_all();
    std::size_t size() const noexcept { return open_.size(); }
    std::vector<std::string> ids() const;

  private:
    struct Gate {
        explicit Gate(boost::asio::any_io_executor executor) : turns(std::move(executor)) {}
        plugin::Turnstile turns;
    };
    std::shared_ptr<Gate> gate(const std::string& id);
    void tidy_gates();
    boost::asio::awaitable<std::shared_ptr<Open>> open_now(std::string id, Options options,
                                                           PluginInstance::Started started);
    boost::asio::awaitable<void> close_now(std::string id);

    boost::asio::io_context& loop_;
    boost::asio::thread_pool& pool_;
    std::shared_ptr<PluginInstance> instance_;
    std::map<std::string, std::shared_ptr<Open>> open_;
    /// Opening and closing of one sandbox, one at a time.
    std::map<std::string, std::shared_ptr<Gate>> gates_;
};

} // namespace kata_vfio::daemon
