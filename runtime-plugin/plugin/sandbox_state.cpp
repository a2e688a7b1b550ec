// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/distrust.hpp"

#include <boost/json.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>

namespace kata_vfio::plugin {
namespace json = boost::json;
namespace {

constexpr int state_version = 1;

json::value optional_text(const std::optional<std::string>& text) {
    return text ? json::value(*text) : json::value(nullptr);
}

std::string text_at(const json::object& object, std::string_view key) {
    return std::string(object.at(key).as_string());
}

std::optional<std::string> optional_text_at(const json::object& object, std::string_view key) {
    const auto& value = object.at(key);
    if (value.is_null())
        return std::nullopt;
    return std::string(value.as_string());
}

/// false where there is none.
bool flag_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value && value->as_bool();
}

Attachment attachment_from_json(const json::object& object) {
    Attachment attachment;
    attachment.id = text_at(object, "id");
    const auto kind = text_at(object, "kind");
    if (kind != "pci" && kind != "mdev")
        throw std::invalid_argument("kind is '" + kind + "'");
    attachment.kind = kind == "mdev" ? Kind::mdev : Kind::pci;
    attachment.device = text_at(object, "device");
    attachment.host_address = text_at(object, "host_address");
    attachment.uuid = optional_text_at(object, "uuid").value_or("");
    attachment.mdev_type = optional_text_at(object, "mdev_type").value_or("");
    attachment.sysfsdev = text_at(object, "sysfsdev");
    attachment.guest_address = text_at(object, "guest_address");
    if (const auto& group = object.at("iommu_group"); !group.is_null())
        attachment.iommu_group = json::value_to<int>(group);
    attachment.made_vgpu = object.at("made_vgpu").as_bool();
    if (const auto& bound = object.at("bound"); !bound.is_null())
        attachment.bound = bind_record_from_json(bound);
    attachment.unplugged = object.at("unplugged").as_bool();
    if (const auto* pending = object.if_contains("pending"); pending && !pending->is_null())
        attachment.pending = PendingOn{json::value_to<std::int64_t>(pending->at("pid")),
                                       json::value_to<std::uint64_t>(pending->at("start")),
                                       std::string(pending->at("command").as_string())};
    attachment.own = flag_at(object, "own");
    attachment.keep = flag_at(object, "keep");
    attachment.prepared = flag_at(object, "prepared");
    if (object.contains("vf_of"))
        attachment.vf_of = optional_text_at(object, "vf_of").value_or("");
    if (const auto* lent = object.if_contains("lent"))
        attachment.lent = lent_node_from_json(*lent);
    return attachment;
}

SandboxState state_from_json(const json::object& object) {
    if (const auto found = json::value_to<int>(object.at("version")); found != state_version)
        throw std::invalid_argument("version " + std::to_string(found) +
                                    ", but this kata-vfio writes version " +
                                    std::to_string(state_version));
    SandboxState state;
    state.id = text_at(object, "sandbox");
    state.qmp_socket = text_at(object, "qmp_socket");
    state.machine = text_at(object, "machine");
    state.qemu_pid = json::value_to<std::int64_t>(object.at("qemu_pid"));
    state.qemu_start = json::value_to<std::uint64_t>(object.at("qemu_start"));
    for (const auto& [key, value] : object.at("annotations").as_object())
        state.annotations.emplace(key, std::string(value.as_string()));
    for (const auto& entry : object.at("attachments").as_array())
        state.attachments.push_back(attachment_from_json(entry.as_object()));
    if (const auto* tainted = object.if_contains("tainted"))
        for (const auto& command : tainted->as_array())
            state.tainted.emplace_back(command.as_string());
    if (const auto* due = object.if_contains("due"))
        for (const auto& each : due->as_array())
            state.due.push_back(
                {text_at(each.as_object(), "device"), flag_at(each.as_object(), "keep")});
    if (const auto* owner = object.if_contains("owner_pid")) {
        state.owner_pid = json::value_to<std::int64_t>(*owner);
        state.owner_start = json::value_to<std::uint64_t>(object.at("owner_start"));
    }
    return state;
}

/// Appended to the text: operator/ of a path would take it apart first.
std::string state_file(const std::filesystem::path& sandbox_directory) {
    return sandbox_directory.native() + "/state.json";
}

Failure corrupt(const std::filesystem::path& file, const std::string& why) {
    return Failure(Errc::state_corrupt, file.string() + " is not a sandbox's state")
        .said(why)
        .remedy("it was left as it is: look at it, and move it away when the sandbox is gone");
}

} // namespace

std::string text(const PendingOn& holder) {
    if (holder.pid == 0)
        return "a process that can't be seen from here";
    return "pid " + std::to_string(holder.pid) +
           (holder.command.empty() ? std::string() : " (" + holder.command + ")");
}

bool SandboxState::has_own() const {
    return std::any_of(attachments.begin(), attachments.end(),
                       [](const auto& attachment) { return attachment.own; });
}

bool Attachment::answers_to(std::string_view name) const {
    if (name == device || name == id || (!uuid.empty() && name == uuid))
        return true;
    if (kind == Kind::pci && name == host_address)
        return true;
    return iommu_group && name == "/dev/vfio/" + std::to_string(*iommu_group);
}

json::object to_json(const vfio::BindRecord& record) {
    return {{"address", record.address.text()},
            {"earlier_driver", optional_text(record.earlier_driver)},
            {"earlier_override", optional_text(record.earlier_override)},
            {"driver", record.driver},
            {"changed", record.changed}};
}

vfio::BindRecord bind_record_from_json(const json::value& value) {
    const auto& object = value.as_object();
    vfio::BindRecord record;
    record.address = vfio::PciAddress::require(object.at("address").as_string());
    record.earlier_driver = optional_text_at(object, "earlier_driver");
    record.earlier_override = optional_text_at(object, "earlier_override");
    record.driver = text_at(object, "driver");
    record.changed = object.at("changed").as_bool();
    return record;
}

json::object to_json(const LentNode& node) {
    return {{"group", node.group},
            {"from_uid", node.from_uid},
            {"to_uid", node.to_uid},
            {"inode", node.inode}};
}

LentNode lent_node_from_json(const json::value& value) {
    return {json::value_to<int>(value.at("group")),
            json::value_to<std::uint32_t>(value.at("from_uid")),
            json::value_to<std::uint32_t>(value.at("to_uid")),
            json::value_to<std::uint64_t>(value.at("inode"))};
}

json::object to_json(const Attachment& attachment) {
    const auto none_if_empty = [](const std::string& text) {
        return text.empty() ? json::value(nullptr) : json::value(text);
    };
    json::object object{{"id", attachment.id},
                        {"kind", attachment.kind == Kind::mdev ? "mdev" : "pci"},
                        {"device", attachment.device},
                        {"host_address", attachment.host_address},
                        {"uuid", none_if_empty(attachment.uuid)},
                        {"mdev_type", none_if_empty(attachment.mdev_type)},
                        {"sysfsdev", attachment.sysfsdev},
                        {"guest_address", attachment.guest_address},
                        {"iommu_group", nullptr},
                        {"made_vgpu", attachment.made_vgpu},
                        {"bound", nullptr},
                        {"unplugged", attachment.unplugged},
                        {"own", attachment.own},
                        {"keep", attachment.keep},
                        {"prepared", attachment.prepared},
                        {"vf_of", none_if_empty(attachment.vf_of)}};
    if (attachment.iommu_group)
        object["iommu_group"] = *attachment.iommu_group;
    if (attachment.bound)
        object["bound"] = to_json(*attachment.bound);
    if (attachment.lent)
        object["lent"] = to_json(*attachment.lent);
    if (attachment.pending)
        object["pending"] = json::object{{"pid", attachment.pending->pid},
                                         {"start", attachment.pending->start},
                                         {"command", attachment.pending->command}};
    return object;
}

json::object to_json(const SandboxState& state) {
    json::object annotations;
    for (const auto& [key, value] : state.annotations)
        annotations[key] = value;
    json::array attachments;
    for (const auto& attachment : state.attachments)
        attachments.push_back(to_json(attachment));
    json::array due;
    for (const auto& each : state.due)
        due.push_back(json::object{{"device", each.device}, {"keep", each.keep}});
    return {{"version", state_version},
            {"sandbox", state.id},
            {"qmp_socket", state.qmp_socket},
            {"machine", state.machine},
            {"qemu_pid", state.qemu_pid},
            {"qemu_start", state.qemu_start},
            {"annotations", std::move(annotations)},
            {"attachments", std::move(attachments)},
            {"tainted", json::value_from(state.tainted)},
            {"due", std::move(due)},
            {"owner_pid", state.owner_pid},
            {"owner_start", state.owner_start}};
}

SandboxState parse_state(std::string_view bytes, const std::filesystem::path& file) {
    try {
        return state_from_json(json::parse(bytes).as_object());
    } catch (const boost::system::system_error& error) {
        // what() would add the source position inside Boost.JSON.
        throw corrupt(file, error.code().message());
    } catch (const std::exception& error) {
        throw corrupt(file, error.what());
    }
}

std::optional<SandboxState> load_state(const std::filesystem::path& sandbox_directory) {
    return KnownState().load(sandbox_directory);
}

std::optional<SandboxState> KnownState::load(const std::filesystem::path& sandbox_directory) {
    struct stat st {};
    const auto file = state_file(sandbox_directory);
    if (stamp_ && ::lstat(file.c_str(), &st) == 0 && distrust(st, file).empty() &&
        FileStamp(st) == *stamp_)
        return state_;
    stamp_.reset();
    const auto read = read_own(file);
    if (!read.distrust.empty())
        throw corrupt(file, read.distrust);
    if (!read.bytes)
        return std::nullopt;
    auto state = parse_state(*read.bytes, file);
    stamp_ = read.stamp;
    if (stamp_)
        state_ = state;
    return state;
}

void KnownState::wrote(const Replacement& file, const SandboxState& state) {
    stamp_ = file.stamp();
    if (stamp_)
        state_ = state;
}

Replacement prepare_state(const std::filesystem::path& sandbox_directory,
                          const SandboxState& state) {
    const auto file = state_file(sandbox_directory);
    if (const int error = write_fault(CrashPoint::state_write))
        throw host_failure(error, "can't write " + file);
    Replacement prepared(file, json::serialize(to_json(state)) + "\n");
    crash_point(CrashPoint::state_prepared);
    return prepared;
}

std::optional<Failure> commit_state(Replacement& prepared) {
    if (const int error = write_fault(CrashPoint::state_commit_write))
        throw host_failure(error, "can't replace state.json");
    auto unsynced = prepared.commit();
    crash_point(CrashPoint::state_committed);
    if (const int error = write_fault(CrashPoint::state_sync_write))
        unsynced = host_failure(error, "can't sync the directory of state.json");
    return unsynced;
}

} // namespace kata_vfio::plugin
