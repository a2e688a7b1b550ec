// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/topology/topology.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "vfio/pci_address.hpp"

#include <boost/json.hpp>

#include <map>
#include <set>
#include <sstream>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// The objects of a list; none when it is not there.
std::vector<const json::object*> rows_at(const json::object& object, std::string_view key) {
    std::vector<const json::object*> rows;
    if (const auto* value = object.if_contains(key); value && value->is_array())
        for (const auto& each : value->get_array())
            if (each.is_object())
                rows.push_back(&each.get_object());
    return rows;
}

json::value copy_of(const json::object& from, std::string_view key) {
    const auto* value = from.if_contains(key);
    return value ? *value : json::value(nullptr);
}

/// Of an attachment, seen from its device.
json::object attachment_json(const std::string& sandbox, const json::object& attachment) {
    const bool waits = flag_at(attachment, "prepared");
    const bool unplugged = flag_at(attachment, "unplugged");
    const auto guest_address = string_at(attachment, "guest_address");
    const auto address = vfio::PciAddress::parse(guest_address);
    json::object made{{"sandbox", sandbox},
                      {"id", string_at(attachment, "id")},
                      {"state", unplugged ? "unplugged"
                                : waits   ? "waits"
                                          : "plugged"},
                      {"guest_address", guest_address},
                      {"slot", nullptr},
                      {"function", nullptr}};
    if (address && !unplugged && !waits) {
        made["slot"] = address->device;
        made["function"] = address->function;
    }
    return made;
}

class Joiner {
  public:
    Joiner(const TopologySources& sources, bool all) : sources_(sources), all_(all) {
        for (const auto* sandbox : rows_at(sources.sandboxes, "sandboxes"))
            add_sandbox(*sandbox);
        for (const auto* type : rows_at(sources.types, "types"))
            types_[string_at(*type, "parent")].push_back(
                json::object{{"type", string_at(*type, "type")},
                             {"available_instances", copy_of(*type, "available_instances")}});
        for (const auto* vgpu : rows_at(sources.vgpus, "vgpus")) {
            auto row = *vgpu;
            row["attachment"] = attachment_of(string_at(*vgpu, "uuid"));
            vgpus_[string_at(*vgpu, "parent")].push_back(std::move(row));
        }
    }

    json::object result() {
        json::array functions = join_functions();
        json::array parents;
        std::set<std::string> left;
        for (const auto& [parent, types] : types_)
            left.insert(parent);
        for (const auto& [parent, vgpus] : vgpus_)
            left.insert(parent);
        for (const auto& parent : left)
            if (!shown_.contains(parent))
                parents.push_back(json::object{{"parent", parent},
                                               {"types", taken(types_, parent)},
                                               {"vgpus", taken(vgpus_, parent)}});
        json::object made{{"functions", std::move(functions)}, {"parents", std::move(parents)}};
        if (sources_.sandboxes.empty()) {
            made["sandboxes"] = nullptr;
            made["unreadable"] = json::array();
        } else {
            made["sandboxes"] = std::move(sandboxes_);
            made["unreadable"] = copy_of(sources_.sandboxes, "unreadable");
        }
        return made;
    }

  private:
    static json::array taken(std::map<std::string, json::array>& from, const std::string& parent) {
        const auto found = from.find(parent);
        return found == from.end() ? json::array() : std::move(found->second);
    }

    json::value attachment_of(const std::string& device) const {
        const auto found = attached_.find(device);
        return found == attached_.end() ? json::value(nullptr) : json::value(found->second);
    }

    void add_sandbox(const json::object& sandbox) {
        const auto id = string_at(sandbox, "sandbox");
        std::map<std::int64_t, json::array> slots;
        json::array unplaced;
        for (const auto* attachment : rows_at(sandbox, "attachments")) {
            auto seen = attachment_json(id, *attachment);
            const auto uuid = string_at(*attachment, "uuid");
            const auto host_address = string_at(*attachment, "host_address");
            attached_[uuid.empty() ? host_address : uuid] = seen;
            auto device = seen;
            device.erase("sandbox");
            for (const auto* key :
                 {"kind", "host_address", "uuid", "mdev_type", "iommu_group", "vf_of"})
                device[key] = copy_of(*attachment, key);
            if (const auto& slot = seen.at("slot"); slot.is_null())
                unplaced.push_back(std::move(device));
            else
                slots[slot.to_number<std::int64_t>()].push_back(std::move(device));
        }
        json::array rows;
        for (auto& [slot, devices] : slots)
            rows.push_back(json::object{{"slot", slot}, {"devices", std::move(devices)}});
        sandboxes_.push_back(json::object{{"sandbox", id},
                                          {"machine", copy_of(sandbox, "machine")},
                                          {"owner_pid", copy_of(sandbox, "owner_pid")},
                                          {"bus", "pci.0"},
                                          {"slots", std::move(rows)},
                                          {"unplaced", std::move(unplaced)}});
    }

    bool matters(const json::object& function) const {
        const auto address = string_at(function, "address");
        return all_ || string_at(function, "class").starts_with("03") ||
               flag_at(function, "on_vfio") || !string_at(function, "sandbox").empty() ||
               attached_.contains(address) || types_.contains(address) || vgpus_.contains(address);
    }

    json::array join_functions() {
        const auto functions = rows_at(sources_.functions, "functions");
        std::map<std::string, std::vector<std::string>> groups;
        for (const auto* function : functions)
            groups[number_at(*function, "iommu_group")].push_back(string_at(*function, "address"));
        json::array rows;
        for (const auto* function : functions) {
            if (!matters(*function))
                continue;
            const auto address = string_at(*function, "address");
            const auto group = number_at(*function, "iommu_group");
            auto row = *function;
            json::array siblings;
            if (!group.empty())
                for (const auto& member : groups[group])
                    if (member != address)
                        siblings.push_back(json::string(member));
            row["siblings"] = std::move(siblings);
            row["types"] = taken(types_, address);
            row["vgpus"] = taken(vgpus_, address);
            row["attachment"] = attachment_of(address);
            rows.push_back(std::move(row));
            shown_.insert(address);
        }
        return rows;
    }

    const TopologySources& sources_;
    bool all_;
    std::map<std::string, json::object> attached_;     ///< by BDF or UUID
    std::map<std::string, json::array> types_, vgpus_; ///< by parent
    std::set<std::string> shown_;                      ///< functions that have taken theirs
    json::array sandboxes_;
};

} // namespace

json::object join_topology(const TopologySources& sources, bool all) {
    return Joiner(sources, all).result();
}

json::object topology(const Arguments& arguments, Io& io,
                      const std::function<json::object(const Arguments&, Io&)>& run) {
    std::ostringstream notes;
    Io noted{io.out, notes, io.colour};
    const auto ask = [&](Verb verb, bool all) {
        auto each = arguments;
        each.verb = verb;
        each.all = all;
        return run(each, noted);
    };
    TopologySources sources;
    sources.functions = ask(Verb::gpus, true);
    sources.types = ask(Verb::types, false);
    sources.vgpus = ask(Verb::vgpus, false);
    try {
        sources.sandboxes = ask(Verb::list, false);
    } catch (const Failure& failure) {
        if (failure.code() != Errc::permission_denied)
            throw;
        notes << "kata-vfio: the sandboxes are not shown: " << failure.what() << '\n';
    }
    std::set<std::string_view> told;
    const auto text = notes.str();
    for (const auto line : split(text, '\n'))
        if (!line.empty() && told.insert(line).second)
            io.err << line << '\n';
    return join_topology(sources, arguments.all);
}

} // namespace kata_vfio::cli
