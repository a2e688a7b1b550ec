// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "qemu/capabilities.hpp"
#include "qemu/guest_facts.hpp"
#include "qemu/hotplug.hpp"
#include "qemu/monitor.hpp"
#include "qemu/pci_slots.hpp"
#include "qemu/qmp/proxy/proxy.hpp"
#include "qemu/qmp/session.hpp"
#include "runtime-plugin/plugin/caller.hpp"
#include "runtime-plugin/plugin/context.hpp"
#include "runtime-plugin/plugin/device_request.hpp"
#include "runtime-plugin/plugin/journal.hpp"
#include "runtime-plugin/plugin/outcome.hpp"
#include "runtime-plugin/plugin/reconcile_report.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "runtime-plugin/plugin/target.hpp"
#include "runtime-plugin/plugin/turnstile.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kata_vfio::plugin {

class LockWatch;

/// One sandbox VM: the connection to its QEMU, and the operations on what it has attached.
///
/// Everything on Context::io. An operation is a coroutine spawned with throw_if_cancelled(false)
/// (see run_operation in plugin.cpp): it sees a cancellation as Failure(cancelled), or asks
/// cancelled(), so that undoing is never itself cut short by Asio.
///
/// Each operation takes its turn (Turnstile), then the sandbox's lock between processes, then reads
/// state.json anew: another process may have changed it meanwhile.
class Sandbox : public std::enable_shared_from_this<Sandbox> {
  public:
    Sandbox(Context& context, std::string id);

    const std::string& id() const noexcept { return id_; }

    struct OpenRequest {
        std::string qmp_socket;                         ///< empty: as remembered
        std::map<std::string, std::string> annotations; ///< empty: as remembered
        std::int64_t owner_pid = 0;                     ///< 0: as remembered, or none
    };
    /// Policy, connection, live machine, state, and the devices that the sandbox asks for itself.
    /// The arguments live until it is over.
    boost::asio::awaitable<void> open(const OpenRequest& request, const Caller& caller);

    struct AttachRequest {
        std::string device;
        std::string uuid;
        bool dry_run = false;
        bool keep = false; ///< a vGPU that is made stays when it is detached
    };
    /// The arguments are named by the caller before the co_await (they are aggregates), and live
    /// until it is over.
    boost::asio::awaitable<Outcome> attach(const AttachRequest& request, const Caller& caller);

    boost::asio::awaitable<Outcome> detach(const std::string& device, const Caller& caller);

    /// Gives everything back and removes the state directory.
    boost::asio::awaitable<Outcome> release(const Caller& caller);

    enum class Patience {
        waits, ///< for what is held, until the limit of time
        looks, ///< whether a removal that is under way has ended, and goes on if it has not
    };
    enum class AskQemu {
        if_needed, ///< as far as its process does not tell
        devices,   ///< also which devices it has
    };
    /// Puts right what a killed process, or a QEMU that died, has left: see plan_sandbox().
    /// Failures are in the finding.
    boost::asio::awaitable<SandboxFinding> reconcile(Patience patience, AskQemu ask,
                                                     const Caller& caller);

    /// What becomes of the sandbox's own devices when something has happened: given to a guest that
    /// has been started, given back when QEMU is gone. Failures are logged.
    boost::asio::awaitable<void> tend(const Caller& caller);

    bool connected() const { return monitor_ && monitor_->connected(); }

    /// Lets the connection go.
    void close();

    /// Before a close(): what waits for another process to let go of the sandbox gives up. Another
    /// call that is under way is not cut short.
    void end_waits();

  private:
    struct Locked; ///< turn, lock between processes, and the state as read under them

    boost::asio::awaitable<Locked> lock();
    /// The same, but waits while another process has it: for what nobody would try again.
    boost::asio::awaitable<Locked> lock_when_free();

    /// Finishes what a killed process left in the journal. Throws Failure(cancelled) after it when
    /// the caller has given up meanwhile.
    boost::asio::awaitable<void> recover(const SandboxState& state, const Caller& caller);
    /// Undoes what recovery.hpp plans for an operation that was not brought to its end; throws the
    /// first failure, and then leaves the rest alone.
    boost::asio::awaitable<void> undo(LeftJournal left, const SandboxState& state,
                                      std::uint64_t ticket);
    boost::asio::awaitable<void> reconcile_locked(SandboxFinding& finding, Patience patience,
                                                  AskQemu ask, const Caller& caller);
    /// Whether QEMU lives, asking its monitor when that is needed to tell, or for what follows.
    boost::asio::awaitable<QemuPicture> ask_qemu(const SandboxState& state, bool need_monitor);
    boost::asio::awaitable<QemuPicture> judge_qemu(const SandboxState& state, bool need_monitor);
    /// By qdev id, those that it is removing included.
    boost::asio::awaitable<std::set<std::string>> vfio_devices();
    /// Detaches all, the last first; nullopt: nothing is left. The first failure stops none of the
    /// others.
    boost::asio::awaitable<std::optional<Failure>>
    give_all_back(SandboxState& state, Patience patience, const Caller& caller);

    // sandbox_own.cpp
    /// What the configuration, with its annotations, asks for; throws malformed_device.
    std::vector<Due> own_devices() const;
    /// Gets what is due, and gives QEMU what is prepared if its guest has been started. What fails
    /// is as before.
    boost::asio::awaitable<void> take_own(SandboxState& state, const Caller& caller);
    boost::asio::awaitable<void> prepare_own(SandboxState& state, const Due& due,
                                             const Caller& caller);
    boost::asio::awaitable<void> plug_prepared(SandboxState& state, const Caller& caller);
    /// Ends an open that failed over a device: it is as if it had not been.
    boost::asio::awaitable<void> take_back_own(SandboxState& state, const Caller& caller);

    /// Attaches one request's devices; `state` has them afterwards.
    boost::asio::awaitable<Outcome> attach_locked(SandboxState& state, const AttachRequest& request,
                                                  const Caller& caller);
    /// Of an attach that is on record.
    void clear(Journal& journal) const;
    /// Undoes what the journal has and throws `error`, with what became of that.
    boost::asio::awaitable<void> fail_attach(Journal& journal, const SandboxState& state,
                                             std::exception_ptr error, const Caller& caller);
    /// Goes on with what QEMU has let go and the host has not got back yet, and takes claims that
    /// are lost. The first failure of those is the answer; it stops none of the others.
    boost::asio::awaitable<std::optional<Failure>> settle(SandboxState& state, Patience patience,
                                                          const Caller& caller);
    /// Saves the state; that only its directory could not be synced is a warning in the log.
    void save(const SandboxState& state);
    /// Its second half: `file` holds `state`.
    void commit(Replacement& file, const SandboxState& state);
    /// Resolves the request and, unless it is a dry run, takes all steps on the host. Throws with
    /// what was begun in the journal. `bus` is as it was looked at: it has room for all targets.
    boost::asio::awaitable<std::vector<Target>> prepare(Journal& journal, const SandboxState& state,
                                                        const AttachRequest& request,
                                                        const Caller& caller, qemu::RootBus& bus);
    /// These two on a thread of the pool.
    void take_host_steps(Journal& journal, std::vector<Target>& targets, const SandboxState& state,
                         const Caller& caller);
    void take_host_step(Journal& journal, Target& target, const SandboxState& state,
                        const Caller& caller);
    // sandbox_node.cpp
    /// Refuses a group's node that QEMU's cgroup does not let it open.
    void require_reach(const Target& target);
    /// QEMU may not open the node: throws with what forbids it, where that can be told.
    boost::asio::awaitable<void> explain_denial(const Target& target);
    /// QEMU's user can open the node of the target after it, or it throws; nothing for a QEMU that
    /// opens all of them. Blocks for udev, for a node that has just been made.
    void open_node_to_qemu(Journal& journal, Target& target, const std::vector<Target>& targets,
                           const SandboxState& state, const Caller& caller);
    void enable_function(Journal& journal, Target& target, const SandboxState& state,
                         const std::function<void(const Step&)>& begin);
    void make_vgpu(Journal& journal, Target& target, const SandboxState& state,
                   const std::function<void(const Step&)>& begin);
    /// Refuses what QEMU's process or its guest has no room for.
    void require_limits(const std::vector<Target>& targets, const SandboxState& state,
                        const qemu::GuestFacts& guest) const;
    /// `all_sent` runs when QEMU works on the last one, with every guest address in its place.
    boost::asio::awaitable<void> plug(Journal& journal, std::vector<Target>& targets,
                                      const Caller& caller, const std::function<void()>& all_sent);
    /// What bus_ is now. Also warns of what is attached on record and not in QEMU.
    boost::asio::awaitable<qemu::RootBus> ask_bus(const SandboxState& state);
    /// Plugs one. When the connection is lost over it, QEMU is asked over the next one.
    boost::asio::awaitable<qemu::Plugged> plug_one(Journal& journal, qemu::VfioDevice device,
                                                   bool cdev, std::optional<qemu::RootBus> known,
                                                   std::function<void(const qemu::Plugged&)> sent);

    /// Unplugs and gives the host side back; removes the attachment from `state` and saves it.
    boost::asio::awaitable<Attachment> detach_one(SandboxState& state, std::string qdev_id,
                                                  std::uint64_t ticket,
                                                  Patience patience = Patience::waits);
    boost::asio::awaitable<void> unplug(const std::string& qdev_id, const SandboxState& state,
                                        std::uint64_t ticket);
    /// The host's side of one that QEMU has let go. Where somebody still has it, that is put on
    /// record and watched.
    boost::asio::awaitable<void> give_back(SandboxState& state, std::string qdev_id,
                                           Patience patience);

    /// Waits, when the connection is lost, until the QEMU process is gone and so has let go of its
    /// VFIO descriptors: the socket's end comes before theirs when QEMU is killed. Where its pid is
    /// not known, until nobody has the groups of its devices open. Throws Failure(removal_pending)
    /// with who has at the deadline.
    boost::asio::awaitable<void> await_exit(const SandboxState& state);

    // sandbox_iommufd.cpp
    /// Configuration and kernel offer it; of QEMU it says nothing.
    bool host_offers_iommufd() const;
    /// A QEMU that does not answer can't do it: an attach is not to fail for that.
    boost::asio::awaitable<void> take_capabilities(qemu::CapabilityProbe& probe);
    /// Target::cdev for a dry run: of what is yet to be bound or made, what the kernel does as a
    /// rule. On a thread of the pool.
    void expect_cdevs(std::vector<Target>& targets) const;
    /// By their own nodes: a group's functions go one way or the other, the kernel refuses a
    /// mixture.
    bool takes_cdevs(const std::vector<Target>& targets) const;
    /// qemu::plug() by the device's own node where `cdev` and QEMU takes it. When QEMU refuses that
    /// (its jail may lack the nodes), by the group's, and so for the rest of this connection.
    boost::asio::awaitable<qemu::Plugged>
    plug_device(std::shared_ptr<qemu::Session> session, qemu::VfioDevice device, bool cdev,
                std::optional<qemu::RootBus> known, std::function<void(const qemu::Plugged&)> sent);

    boost::json::object plan(const std::vector<Target>& targets, const qemu::RootBus& bus) const;
    void progress(std::uint64_t ticket, const std::string& text) const;

    // sandbox_monitor.cpp
    boost::asio::awaitable<void> connect(const std::string& qmp_socket);
    boost::asio::awaitable<qemu::Monitor::Connection> make_connection(std::string qmp_socket);
    qemu::Monitor::Hooks monitor_hooks();
    void gave_up(const Failure& why);
    /// Of what is logged about the connection's end: a warning, unless QEMU had announced its own.
    LogLevel end_level() const noexcept;
    void tell_monitor(LogLevel level, const std::string& text) const;
    void remember_process(const SandboxState& state);
    /// Puts the process behind the connection into `state`, zeros where it can't be told.
    void identify_qemu(SandboxState& state) const;
    /// Its end is the sandbox's: the plugin is told of it, where it is not the owner itself.
    void watch_owner(const SandboxState& state);
    /// Waits for a reconnect, or begins one. Throws qemu_gone, or why there is no connection now.
    boost::asio::awaitable<void> require_connection();
    /// The same, but false when nobody is there any more: QEMU is gone, or about to be.
    boost::asio::awaitable<bool> connect_if_alive(const SandboxState& state);

    // sandbox_proxy.cpp
    /// Makes qmp.sock, if the configuration has it. One that can't be made is no failure of the
    /// sandbox's: it is logged. Call it with the sandbox's lock held.
    void serve_proxy();
    void attach_proxy();
    static boost::asio::awaitable<void> record_taint(std::shared_ptr<Sandbox> self,
                                                     std::string command);

    Context& context_;
    std::string id_;
    KnownState known_;
    Turnstile turnstile_;
    std::shared_ptr<qemu::Monitor> monitor_;
    /// The process behind it, to tell one that has ended from one that can't be reached; 0: not
    /// known.
    std::int64_t qemu_pid_ = 0;
    std::uint64_t qemu_start_ = 0;
    /// Of that process, where the modes of files bind it; nullopt: they don't, or it is not known.
    std::optional<Credentials> qemu_user_;
    std::optional<Failure> lost_; ///< how the last connection ended
    bool ends_in_order_ = false;  ///< QEMU has announced that it ends, and that it was meant to
    /// The root bus as last heard of, with our own changes since; nullopt: to be asked for. It only
    /// serves to refuse a full bus before the host is changed: QEMU's own answer decides.
    std::optional<qemu::RootBus> bus_;
    /// Of the QEMU connected to; asked for by the first attach that can make use of them.
    std::optional<qemu::Capabilities> capabilities_;
    /// Whether that QEMU has KVM; asked for by the first attach.
    std::optional<bool> kvm_;
    bool told_reach_ = false; ///< that QEMU's cgroup can't be judged; told once
    /// Nothing kept that process from any node when it was last looked at: not looked at again
    /// until QEMU is denied one.
    bool unrestricted_ = false;
    bool iommufd_added_ = false; ///< our iommufd object is in the QEMU connected to
    std::unique_ptr<qemu::Proxy> proxy_;
    std::set<std::string> taints_;  ///< told by the proxy since it was opened
    std::optional<Failure> policy_; ///< why nothing may be attached; set at open
    config::Vfio effective_;        ///< [vfio] after annotations
    bool has_own_ = false;          ///< as last seen: tend() has something to look after
    bool awaits_guest_ = false;     ///< .. and it waits for the guest to be started
    std::set<LockWatch*> waits_;    ///< of lock_when_free(), while they wait
    bool closing_ = false;
};

} // namespace kata_vfio::plugin
