// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/file.hpp"
#include "runtime-plugin/plugin/node_rights.hpp"
#include "vfio/driver_binding.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::plugin {

enum class Kind { pci = 1, mdev = 2 }; ///< the C ABI's KATA_VFIO_KIND_*

/// A process that keeps a device from being given back; pid 0: one that can't be seen from here.
struct PendingOn {
    std::int64_t pid = 0;
    std::uint64_t start = 0; ///< as SandboxState::qemu_start
    std::string command;

    bool operator==(const PendingOn&) const = default;
};
/// "pid 4711 (qemu-system-x86)"
std::string text(const PendingOn& holder);

/// One device in one sandbox, and all that is needed to give it back.
struct Attachment {
    std::string id; ///< qdev id in QEMU
    Kind kind = Kind::pci;
    std::string device;       ///< as the request named it; a group's functions share it
    std::string host_address; ///< BDF of the function, name of the vGPU's parent
    std::string uuid;         ///< mdev only
    std::string mdev_type;    ///< mdev only
    std::string sysfsdev;
    std::string guest_address;
    std::optional<int> iommu_group;
    /// The vGPU was made for this attachment and goes with it.
    bool made_vgpu = false;
    /// The function was bound to vfio-pci for this attachment: how it was before.
    std::optional<vfio::BindRecord> bound;
    /// QEMU has let go, but the host side is not given back yet (see release).
    bool unplugged = false;
    /// Who had it open when it was last tried to give it back: it is pending, and goes back once
    /// that process has let go. Not in files written before there was this.
    std::optional<PendingOn> pending;
    // Not in files written before there were these.
    /// Asked for by the sandbox's annotations or configuration, not by an attach: it goes with QEMU
    /// and owner, see Sandbox::tend().
    bool own = false;
    /// The vGPU stays when it is detached, as somebody else's.
    bool keep = false;
    /// Claimed and made or bound, and not given to QEMU yet: its guest has not been started.
    bool prepared = false;

    /// For a virtual function that was asked for as one (sriov@PARENT): the physical function. The
    /// last one that goes takes all of them away again, if it was us who enabled them.
    std::string vf_of;
    /// The group's node was made QEMU's user's for this attachment, or for one of the same group.
    std::optional<LentNode> lent;

    bool owned() const { return (made_vgpu && !keep) || bound.has_value() || !vf_of.empty(); }
    /// QEMU has it, as far as is on record.
    bool plugged() const { return !prepared && !unplugged; }

    /// Whether a person's name for the device means this one: request, BDF, UUID, qdev id, node.
    bool answers_to(std::string_view name) const;
};

/// A device that a sandbox asked for when it was opened, and has not got yet.
struct Due {
    std::string device; ///< as an attach request names it
    bool keep = false;

    bool operator==(const Due&) const = default;
};

/// What is remembered of a sandbox between processes. state.json, version 1.
struct SandboxState {
    std::string id;
    std::string qmp_socket;
    std::string machine; ///< as QEMU named it, without "-machine"
    /// The process behind the socket when it was opened, and its start time in clock ticks after
    /// boot (field 22 of /proc/PID/stat), so that a reused pid is not taken for it. 0: not known.
    std::int64_t qemu_pid = 0;
    std::uint64_t qemu_start = 0;
    std::map<std::string, std::string> annotations;
    std::vector<Attachment> attachments;
    /// Commands that were passed to QEMU by its proxy (qmp.sock) and do not only look, each once,
    /// in their order; not in files written before there was one.
    std::vector<std::string> tainted;
    // Not in files written before there were these.
    std::vector<Due> due;
    /// The process whose end is the sandbox's end, as qemu_pid and qemu_start; 0: none but QEMU.
    std::int64_t owner_pid = 0;
    std::uint64_t owner_start = 0;

    bool has_own() const; ///< an attachment that is `own`
};

boost::json::object to_json(const vfio::BindRecord&);
vfio::BindRecord bind_record_from_json(const boost::json::value&);
boost::json::object to_json(const LentNode&);
LentNode lent_node_from_json(const boost::json::value&);

boost::json::object to_json(const Attachment&);
boost::json::object to_json(const SandboxState&);

/// Throws Failure(state_corrupt) that names `file` and what is wrong with it.
SandboxState parse_state(std::string_view bytes, const std::filesystem::path& file);

/// nullopt: the sandbox has no state file.
std::optional<SandboxState> load_state(const std::filesystem::path& sandbox_directory);
/// The state's new file, beside the old one until it is committed. Throws Failure.
Replacement prepare_state(const std::filesystem::path& sandbox_directory, const SandboxState&);
/// Throws Failure when the old one is still there; what it returns is a warning, as
/// Replacement::commit() has it.
[[nodiscard]] std::optional<Failure> commit_state(Replacement& prepared);

/// The state as this process has last written or read it. As long as that is the file there is, it
/// is not read and parsed again; what any other process has written is seen at the next load. One
/// thread at a time.
class KnownState {
  public:
    /// As load_state().
    std::optional<SandboxState> load(const std::filesystem::path& sandbox_directory);
    /// `file` is in its place now, and holds `state`.
    void wrote(const Replacement& file, const SandboxState& state);

  private:
    std::optional<FileStamp> stamp_;
    SandboxState state_;
};

} // namespace kata_vfio::plugin
