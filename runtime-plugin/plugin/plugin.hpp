// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/context.hpp"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/plugin/read_states.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace kata_vfio::plugin {

/// A plugin instance: its threads, the sandboxes open in it, the calls under way.
///
/// Every public function may be called from any thread. Completions run on the plugin's loop
/// thread, exactly once each, never inside the call that started them.
class Plugin {
  public:
    using Ticket = std::uint64_t;
    using Completion = std::function<void(Ticket, Outcome&&)>;

    Plugin(vfio::HostRoot root, Configured configured, HostServices services);
    /// Cancels what runs, waits for the last completion, closes all connections.
    ~Plugin();
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;

    /// Told the ticket, in the caller's thread, before the call can finish.
    using Started = std::function<void(Ticket)>;

    void open_sandbox(std::string id, Sandbox::OpenRequest request, Completion done,
                      const Started& started);
    void attach(std::shared_ptr<Sandbox> sandbox, Sandbox::AttachRequest request, Completion done,
                const Started& started);
    void detach(std::shared_ptr<Sandbox> sandbox, std::string device, Completion done,
                const Started& started);
    void release(std::string id, Completion done, const Started& started);
    void list(std::string id, Completion done, const Started& started);
    /// Of one sandbox, or of all and of what no sandbox has when `id` is empty.
    void reconcile(std::string id, bool dry_run, Completion done, const Started& started);

    void cancel(Ticket ticket);

    /// Cancels the sandbox's calls, waits for their completions, and lets its connection go.
    void close(const std::shared_ptr<Sandbox>& sandbox);

    const Context& context() const noexcept { return context_; }

  private:
    struct Call {
        boost::asio::cancellation_signal signal;
        std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
        const Sandbox* sandbox = nullptr;
        /// A sandbox that a call for many is at: a close of it waits, but does not cancel.
        const Sandbox* visiting = nullptr;
        Completion done;
    };
    using Operation = std::function<boost::asio::awaitable<Outcome>(const Caller&)>;

    void start(const Sandbox* sandbox, Operation operation, Completion done,
               const Started& started);
    void finish(Ticket ticket, Outcome outcome);
    void cancel_locked(Ticket ticket, Call& call);
    void cancel_on_loop(Ticket ticket);

    boost::asio::awaitable<Outcome> run_open(std::string id, Sandbox::OpenRequest request,
                                             const Caller& caller);
    boost::asio::awaitable<Outcome> run_release(std::string id, const Caller& caller);
    Outcome run_list(const std::string& id);
    boost::asio::awaitable<Outcome> run_reconcile(std::string id, bool dry_run,
                                                  const Caller& caller);
    boost::asio::awaitable<SandboxFinding> run_sandbox_reconcile(std::string id,
                                                                 Sandbox::Patience patience,
                                                                 Sandbox::AskQemu ask,
                                                                 const Caller& caller);
    /// The sandbox if it is open here, and then with `visiting` of the call set; else null.
    std::shared_ptr<Sandbox> visit(const std::string& id, const Caller& caller);
    void leave(const Caller& caller);
    /// A process has ended that the sandbox has to do with: one that kept a device of it, or its
    /// owner. Goes on with giving it back.
    void resume(const std::string& id);
    void tend(const std::string& id);
    Failure not_known(const std::string& id) const;

    Context context_;

    std::mutex mutex_; ///< calls_ and next_; sandboxes_ is the loop's alone
    std::condition_variable finished_;
    std::map<Ticket, std::shared_ptr<Call>> calls_;
    Ticket next_ = 1;

    /// Open in this plugin, by id. Weak: the host's handle owns it.
    std::map<std::string, std::weak_ptr<Sandbox>> sandboxes_;
    ReadStates listed_; ///< what list has read; the loop's alone
    std::thread loop_;  ///< last: it runs on all of the above
};

} // namespace kata_vfio::plugin
