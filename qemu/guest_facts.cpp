// SPDX-License-Identifier: Apache-2.0
#include "qemu/guest_facts.hpp"

#include "qemu/qmp/error.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <utility>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

const json::object* object_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value ? value->if_object() : nullptr;
}

std::optional<std::uint64_t> number_at(const json::value& value, std::string_view key) {
    const auto* object = value.if_object();
    const auto* member = object ? object->if_contains(key) : nullptr;
    if (!member)
        return std::nullopt;
    if (member->is_uint64())
        return member->get_uint64();
    if (member->is_int64() && member->get_int64() >= 0)
        return static_cast<std::uint64_t>(member->get_int64());
    return std::nullopt;
}

} // namespace

std::optional<bool> parse_kvm(const json::value& query_kvm) {
    const auto* object = query_kvm.if_object();
    const auto* enabled = object ? object->if_contains("enabled") : nullptr;
    return enabled && enabled->is_bool() ? std::optional(enabled->get_bool()) : std::nullopt;
}

void parse_memory(const json::value& summary, GuestFacts& facts) {
    facts.base_memory = number_at(summary, "base-memory");
    if (facts.base_memory)
        facts.memory = *facts.base_memory + number_at(summary, "plugged-memory").value_or(0);
}

std::optional<std::uint64_t> parse_balloon(const json::value& query_balloon) {
    return number_at(query_balloon, "actual");
}

std::vector<VirtioMem> parse_virtio_mem(const json::value& query_memory_devices) {
    std::vector<VirtioMem> found;
    const auto* list = query_memory_devices.if_array();
    if (!list)
        return found;
    for (const auto& each : *list) {
        const auto* device = each.if_object();
        const auto* type = device ? device->if_contains("type") : nullptr;
        const auto* data = device ? object_at(*device, "data") : nullptr;
        if (!type || !data || !type->is_string() || type->get_string() != "virtio-mem")
            continue;
        VirtioMem memory;
        if (const auto* id = data->if_contains("id"); id && id->is_string())
            memory.id = id->get_string();
        memory.max_size = number_at(*data, "max-size").value_or(0);
        memory.block_size = number_at(*data, "block-size").value_or(0);
        found.push_back(std::move(memory));
    }
    return found;
}

GuestProbe::GuestProbe(Session& session, About about) : session_(session) {
    asked_.push_back(session.submit(Command("query-kvm")));
    if (about == About::kvm)
        return;
    asked_.push_back(session.submit(Command("query-memory-size-summary")));
    asked_.push_back(session.submit(Command("query-balloon")));
    asked_.push_back(session.submit(Command("query-memory-devices")));
    asked_.push_back(session.submit(query_pci()));
    for (const auto* property :
         {"pci-hole-start", "pci-hole-end", "pci-hole64-start", "pci-hole64-end"})
        asked_.push_back(session.submit(qom_get("/machine/i440fx", property)));
}

asio::awaitable<GuestFacts> GuestProbe::finish() {
    std::vector<json::value> said;
    for (auto& each : asked_) {
        auto value = co_await finish_or_null(session_, std::move(each));
        said.push_back(std::move(value));
    }
    GuestFacts facts;
    facts.kvm = parse_kvm(said[0]);
    if (said.size() == 1)
        co_return facts;
    parse_memory(said[1], facts);
    facts.balloon = parse_balloon(said[2]);
    facts.virtio_mem = parse_virtio_mem(said[3]);
    facts.window.taken = parse_taken(said[4]);
    facts.window.low = parse_hole(said[5], said[6]);
    facts.window.high = parse_hole(said[7], said[8]);
    co_return facts;
}

} // namespace kata_vfio::qemu
