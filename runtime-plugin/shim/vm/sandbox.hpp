// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "runtime-plugin/shim/oci/spec.hpp"
#include "runtime-plugin/shim/vm/cgroup.hpp"
#include "runtime-plugin/shim/vm/console.hpp"
#include "runtime-plugin/shim/vm/file_server.hpp"
#include "runtime-plugin/shim/vm/guest.hpp"
#include "runtime-plugin/shim/vm/place.hpp"
#include "runtime-plugin/shim/vm/plugin.hpp"
#include "runtime-plugin/shim/vm/qemu.hpp"
#include "runtime-plugin/shim/vm/vsock.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::shim {

/// A sandbox: QEMU, the guest in it, and its plugin. One thread.
class Sandbox {
  public:
    Sandbox(boost::asio::io_context& io, vfio::HostRoot root, Place place, std::string config_path);
    ~Sandbox();
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;

    /// Policy, machine, guest, plugin; in that order, so that a wrong configuration is refused
    /// before anything is started. When it throws nothing is left of it. `on_death` is called once
    /// when the machine ends without stop().
    boost::asio::awaitable<void> boot(const oci::Spec& spec,
                                      std::function<void(const std::string& why)> on_death);
    /// The guest switched off, QEMU ended, every device given back, the share unmounted; all of it
    /// is so when this returns, whoever began it. Never throws: what did not work is logged, and
    /// remembered by the plugin.
    boost::asio::awaitable<void> stop();

    /// Ends the machine at once; on_death follows. For a guest that can't be reached any more.
    void kill() noexcept;

    bool running() const noexcept { return running_; }
    pid_t pid() const noexcept { return qemu_ ? qemu_->pid() : 0; }
    /// Throws ttrpc::Error (unavailable) when it does not run, with why not.
    Guest& guest();
    /// Why the machine ended without stop(); "" when it has not.
    const std::string& end() const noexcept { return end_; }

    /// Puts a container's root file system and bind mounts into the share, and its VFIO devices
    /// into the guest; gives what the agent is to be told. When it throws, all of it is undone.
    struct Rootfs {
        std::string type, source;
        std::vector<std::string> options;
    };
    boost::asio::awaitable<agent::ContainerSpec> add(const std::string& id, const oci::Spec& spec,
                                                     const std::filesystem::path& bundle,
                                                     const std::vector<Rootfs>& rootfs);
    /// The mirror of add().
    boost::asio::awaitable<void> remove(const std::string& id);

  private:
    struct Added {
        std::vector<std::string> names;   ///< in mounts/
        std::vector<std::string> devices; ///< as attached
    };
    static boost::asio::awaitable<void> watch(Sandbox& self, std::shared_ptr<bool> alive);
    boost::asio::awaitable<void> start_machine(const oci::Spec& spec);
    /// The way to the agent that the host, the configuration and the guest's image allow; nullptr:
    /// virtio-serial.
    std::unique_ptr<Vsock> open_vsock(Machine& machine);
    /// Until the agent connects. Throws ttrpc::Error: deadline_exceeded, unavailable.
    boost::asio::awaitable<void> meet_agent(Vsock& vsock);
    /// Starts the share's file server; `opened` keeps its connection until QEMU has it.
    boost::asio::awaitable<void> serve_share(Machine& machine, std::vector<UniqueFd>& opened);
    /// Of a QEMU without rights: who it is, and where it works.
    void take_rights(Machine& machine);
    boost::asio::awaitable<void> tear_down();
    /// QEMU's cgroup, with VFIO's majors as they are by now.
    void allow_devices() noexcept;
    /// What the guest said last, with enable_debug; the file goes with the sandbox.
    void log_console();
    boost::asio::awaitable<void> attach(const oci::Spec& spec, Added& added,
                                        agent::ContainerSpec& container);
    /// Until the guest has it, with its driver. Throws ttrpc::Error.
    boost::asio::awaitable<void> await_device(Plugin::Attached device);
    boost::asio::awaitable<void> undo(std::shared_ptr<Added> added);
    void add_root(const std::string& id, const oci::Spec& spec, const std::filesystem::path& bundle,
                  const std::vector<Rootfs>& rootfs, Added& added, agent::ContainerSpec& container);
    void add_mounts(const std::string& id, const oci::Spec& spec, Added& added,
                    agent::ContainerSpec& container);
    std::string new_place(const std::string& name, bool directory, Added& added);
    std::string host_node(const oci::Device& device) const;

    boost::asio::io_context& io_;
    vfio::HostRoot root_;
    Place place_;
    std::string config_path_;
    config::Configuration configuration_;
    /// The pod's: CRI tells it for the sandbox alone, whose uts namespace containers would share.
    std::string hostname_;
    /// Guest addresses of the devices that the pod itself asked for: every container has them.
    std::vector<std::string> own_addresses_;
    HostCgroup cgroup_;
    bool booting_ = false, running_ = false, stopping_ = false;
    std::string end_;
    /// Set by tear_down(), of which there is one: that of a boot that failed or was stopped, of the
    /// machine's death, or of stop().
    Future<bool> down_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::function<void(const std::string&)> on_death_;
    std::unique_ptr<Plugin> plugin_;
    std::unique_ptr<FileServer> file_server_; ///< with virtio-fs
    std::unique_ptr<Console> console_;        ///< with enable_debug
    std::unique_ptr<Qemu> qemu_;
    std::unique_ptr<Guest> guest_;
    /// Shared with the add() under way, which the machine's end may overtake.
    std::map<std::string, std::shared_ptr<Added>> added_;
};

/// Whether a node of that name below /dev is a VFIO group or device, and not VFIO's container node.
bool is_vfio_node(const std::string& name) noexcept;

} // namespace kata_vfio::shim
