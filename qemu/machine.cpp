// SPDX-License-Identifier: Apache-2.0
#include "qemu/machine.hpp"

#include "config/base/text.hpp"
#include "qemu/inventory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace json = boost::json;

bool RunState::before_start() const noexcept {
    return status == "prelaunch" || status == "preconfig" || status == "inmigrate";
}

RunState parse_run_state(const json::value& query_status) {
    RunState out;
    const auto* object = query_status.if_object();
    const auto* status = object ? object->if_contains("status") : nullptr;
    if (!status || !status->is_string())
        throw Failure(Errc::qmp_protocol, "query-status came back without a status");
    out.status = std::string(status->get_string());
    const auto* running = object->if_contains("running");
    out.running = running && running->is_bool() && running->get_bool();
    return out;
}

bool is_pc_machine(std::string_view qom_type) noexcept {
    // "pc-1.3-machine" and older carry no i440fx in their name (hw/i386/pc_piix.c).
    return qom_type.starts_with("pc-i440fx-") ||
           (qom_type.size() > 3 && qom_type.starts_with("pc-") && qom_type[3] >= '0' &&
            qom_type[3] <= '9');
}

asio::awaitable<std::string> require_pc_machine(Session& session) {
    auto command = qom_get("/machine", "type");
    const auto value = co_await session.execute(std::move(command));
    const auto* text = value.if_string();
    if (!text)
        throw Failure(Errc::qmp_protocol, "the type of /machine came back as no string");
    std::string machine(*text);
    const bool is_pc = is_pc_machine(machine);
    if (machine.ends_with("-machine"))
        machine.resize(machine.size() - std::string_view("-machine").size());
    if (!is_pc) {
        Failure failure(Errc::live_machine_refused,
                        "the running QEMU's machine is " + quoted(machine) + ", not pc");
        failure.remedy("start the sandbox with machine_type = \"pc\"");
        throw failure;
    }
    co_return machine;
}

asio::awaitable<RunState> run_state(Session& session, OnCancel mode) {
    auto command = query_status();
    const auto value = co_await session.execute(std::move(command), mode);
    co_return parse_run_state(value);
}

asio::awaitable<bool> device_present(Session& session, std::string id, OnCancel mode) {
    auto command = *command_of(LifeStep::verify, id);
    const auto value = co_await session.execute(std::move(command), mode);
    const auto devices = parse_peripherals(value);
    co_return std::any_of(devices.begin(), devices.end(),
                          [&](const Peripheral& device) { return device.id == id; });
}

} // namespace kata_vfio::qemu
