// SPDX-License-Identifier: Apache-2.0
#include "qemu/capabilities.hpp"

#include "qemu/qmp/error.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <optional>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

bool is(const json::object& object, std::string_view key, std::string_view wanted) {
    const auto* value = object.if_contains(key);
    return value && value->is_string() && value->get_string() == wanted;
}

/// The first object of a list whose `key` is `wanted`; nullptr when there is none.
const json::object* find(const json::value& list, std::string_view key, std::string_view wanted) {
    const auto* items = list.if_array();
    if (!items)
        return nullptr;
    for (const auto& item : *items)
        if (const auto* object = item.if_object(); object && is(*object, key, wanted))
            return object;
    return nullptr;
}

bool has_event(const json::value& schema, std::string_view name) {
    const auto* entity = find(schema, "name", name);
    return entity && is(*entity, "meta-type", "event");
}

/// Whether the union of a command's arguments has the branch.
bool has_branch(const json::value& schema, std::string_view command, std::string_view branch) {
    const auto* entity = find(schema, "name", command);
    if (!entity || !is(*entity, "meta-type", "command"))
        return false;
    const auto* type = entity->if_contains("arg-type");
    if (!type || !type->is_string())
        return false;
    const auto* arguments = find(schema, "name", type->get_string());
    const auto* variants = arguments ? arguments->if_contains("variants") : nullptr;
    return variants && find(*variants, "case", branch);
}

Command list_vfio_pci() {
    return Command("device-list-properties", {{"typename", "vfio-pci"}});
}

} // namespace

Capabilities parse_capabilities(const json::value& schema, const json::value& properties) {
    Capabilities out;
    out.sysfsdev = find(properties, "name", "sysfsdev");
    out.fd = find(properties, "name", "fd");
    out.iommufd = find(properties, "name", "iommufd");
    out.iommufd_object = has_branch(schema, "object-add", "iommufd");
    out.unplug_guest_error = has_event(schema, "DEVICE_UNPLUG_GUEST_ERROR");
    return out;
}

CapabilityProbe::CapabilityProbe(Session& session)
    : session_(session), schema_(session.submit(Command("query-qmp-schema"))),
      properties_(session.submit(list_vfio_pci())) {}

asio::awaitable<Capabilities> CapabilityProbe::finish() {
    const auto schema = co_await finish_or_null(session_, std::move(schema_));
    const auto properties = co_await finish_or_null(session_, std::move(properties_));
    co_return parse_capabilities(schema, properties);
}

Command add_iommufd() {
    return Command("object-add", {{"qom-type", "iommufd"}, {"id", iommufd_id}});
}

} // namespace kata_vfio::qemu
