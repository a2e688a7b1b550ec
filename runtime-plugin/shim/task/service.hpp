// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/shim/task/life.hpp"
#include "runtime-plugin/shim/task/publisher.hpp"
#include "runtime-plugin/shim/task/stdio.hpp"
#include "runtime-plugin/shim/ttrpc/server.hpp"
#include "runtime-plugin/shim/vm/sandbox.hpp"
#include "task.pb.h"

#include <map>
#include <memory>
#include <string>

namespace kata_vfio::shim {

/// containerd.task.v2.Task for one sandbox and its containers. One thread.
///
/// State, Wait, Connect and Shutdown are answered from what is known here, never by asking the
/// guest: containerd gives them 2 to 5 seconds.
class Service {
  public:
    Service(boost::asio::io_context& io, Publisher& publisher, Sandbox& sandbox);
    ~Service();

    /// For ttrpc::Server.
    ttrpc::Method find(const std::string& service, const std::string& method);
    /// Set by a Shutdown after the last task is deleted.
    const Future<bool>& over() const noexcept { return over_; }
    /// Ends what runs, for when this process is told to end.
    boost::asio::awaitable<void> stop();

  private:
    using Bytes = boost::asio::awaitable<std::string>;
    struct Process;
    struct Container;

    Bytes create(std::string payload);
    Bytes start(std::string payload);
    Bytes state(std::string payload);
    Bytes exec(std::string payload);
    Bytes kill(std::string payload);
    Bytes wait(std::string payload);
    Bytes remove(std::string payload);
    Bytes remove_exec(std::shared_ptr<Container> container, std::string exec_id);
    Bytes close_io(std::string payload);
    Bytes resize(std::string payload);
    Bytes pids(std::string payload);
    Bytes stats(std::string payload);
    Bytes update(std::string payload);
    Bytes connect(std::string payload);
    Bytes shutdown(std::string payload);

    std::shared_ptr<Container> container(const std::string& id) const;
    std::shared_ptr<Process> process(const std::string& id, const std::string& exec_id) const;
    /// Where the machine has died under its tasks, that is what a client is told, and why.
    void require_machine() const;
    boost::asio::awaitable<void> start_in_guest(std::shared_ptr<Container> container,
                                                std::shared_ptr<Process> process);
    void exited(const std::shared_ptr<Process>& process, Exit exit);
    void publish_exit(const Process& process);
    void out_of_memory(Container& container, std::uint32_t kills);
    void on_death(const std::string& why);
    std::uint32_t pid() const noexcept { return static_cast<std::uint32_t>(sandbox_.pid()); }

    boost::asio::io_context& io_;
    Publisher& publisher_;
    Sandbox& sandbox_;
    std::uint32_t last_pid_ = 0; ///< what containerd was told, after the machine's end too
    std::map<std::string, std::shared_ptr<Container>> containers_;
    Future<bool> over_;
};

} // namespace kata_vfio::shim
