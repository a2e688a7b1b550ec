// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/guest/launch.hpp"
#include "runtime-plugin/agent/guest/modules.hpp"
#include "runtime-plugin/agent/guest/process.hpp"
#include "runtime-plugin/agent/guest/uevent.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"
#include "vfio/host_root.hpp"

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace kata_vfio::agent {

/// The guest's one program: answers the shim and looks after the containers' processes. One thread,
/// one poll loop; nothing in it waits for anybody.
class Agent {
  public:
    /// `port`: the connection to the shim, not blocking.
    Agent(UniqueFd port, Modules modules);
    /// Until the shim says power_off, closes the port, or breaks the protocol. Then the guest is to
    /// be switched off.
    void run();

  private:
    using Clock = std::chrono::steady_clock;
    struct Container {
        pid_t first = 0;
        bool ended = false;
        bool pod_pids = false;
        std::uint32_t process = 0; ///< the number of its first
        UniqueFd memory_events;
        std::uint32_t oom_kills = 0; ///< the host knows of so many
    };
    struct Launching {
        std::uint32_t request = 0;
        std::uint32_t process = 0;
        UniqueFd sync;
        std::string error;
        int error_number = 0;
        std::uint32_t oom_kills = 0; ///< of its container, before it
    };
    struct DeviceWait {
        std::uint32_t request = 0;
        std::string address;
        bool vfio = false;
        Clock::time_point until, rescan;
    };

    void poll_once();
    void read_port();
    void write_port();
    void take(const Frame& frame);
    void serve(const Request& request);
    void on_child_signal();
    void on_uevents();
    void on_launching(std::list<Launching>::iterator launching);
    void finish_launch(std::list<Launching>::iterator launching);
    void await(std::uint32_t request, const AwaitDevice& call);
    void check_devices();
    bool check_device(DeviceWait& wait); ///< whether it is answered
    void rescan() const;
    void ended(std::uint32_t number, int status);
    /// Tells the host of kills that it does not know of; how many there have been.
    std::uint32_t check_memory(Container& container);
    void forget_if_over(std::uint32_t number);

    void start(std::uint32_t request, Start call);
    void exec(std::uint32_t request, const Exec& call);
    void add(std::uint32_t request, std::unique_ptr<Process> process, Launched launched);
    void signal(const Signal& call);
    void remove(const std::string& container);

    void send(FrameType type, std::uint32_t process, std::string_view payload);
    void reply(std::uint32_t request, boost::json::object value = {});
    void refuse(std::uint32_t request, const std::string& text, int number);
    void say(const std::string& line);
    Process* find(std::uint32_t number);
    Process& need(std::uint32_t number);
    Container& need_container(const std::string& id);
    Cgroup cgroup(const std::string& container) const;
    pid_t pod_init();

    UniqueFd port_;
    UniqueFd signals_; ///< SIGCHLD
    UeventSocket uevents_;
    vfio::HostRoot root_;
    Modules modules_;
    FrameReader reader_{Sender::host};
    std::string unsent_;
    bool over_ = false;
    std::map<std::string, Container> containers_;
    std::map<std::uint32_t, std::unique_ptr<Process>> processes_;
    std::list<Launching> launching_;
    std::vector<DeviceWait> waits_;
    pid_t pod_init_ = 0; ///< 0 until a container shares its pid namespace
    /// Exits of processes whose number is not known yet: of exec, until its message is read.
    std::map<pid_t, int> early_exits_;
};

} // namespace kata_vfio::agent
