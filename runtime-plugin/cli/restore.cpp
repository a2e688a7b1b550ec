// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "runtime-plugin/cli/bind.hpp"
#include "runtime-plugin/cli/bound_record.hpp"
#include "runtime-plugin/cli/function_turn.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "vfio/host_write.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/wait_path.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

RestoreReport with_record(const Host& host, const vfio::BindRecord& record) {
    RestoreReport report;
    const auto result = vfio::restore_driver(host.root, record, host.timeouts.host_write);
    switch (result.outcome) {
    case vfio::RestoreOutcome::restored:
        report.kind = RestoreKind::restored;
        break;
    case vfio::RestoreOutcome::unchanged:
        report.kind = RestoreKind::unchanged;
        break;
    case vfio::RestoreOutcome::left_alone:
        report.kind = RestoreKind::left_alone;
        break;
    }
    report.note = result.note;
    return report;
}

/// Asks the kernel to find the function a driver; the answer is the driver, if any came.
std::optional<std::string> probe(const Host& host, const vfio::PciAddress& address) {
    const auto path = host.root.sys("bus/pci/drivers_probe");
    const auto result = vfio::host_write(path, address.text() + "\n", host.timeouts.host_write);
    if (result.outcome == vfio::HostWriteOutcome::pending)
        throw Failure(Errc::host_timeout, "the kernel has not finished probing " + address.text())
            .remedy("see the kernel log; kata-vfio gpus --all shows what becomes of it");
    if (result.outcome == vfio::HostWriteOutcome::failed)
        throw host_failure(result.error, "can't write " + address.text() + " to " +
                                             host.root.told(path).string());
    const auto bound = [&] { return vfio::current_driver(host.root, address).has_value(); };
    vfio::settled(vfio::function_path(host.root, address), bound, host.timeouts.host_write,
                  host.root.watches());
    return vfio::current_driver(host.root, address);
}

RestoreReport without_record(const Host& host, const vfio::PciFunction& function) {
    const auto name = function.address.text();
    const bool ours = function.on_vfio || function.driver == "vfio-pci" ||
                      (!function.driver && function.driver_override == "vfio-pci");
    RestoreReport report;
    if (function.driver && !ours) {
        report.note =
            name + " is on " + *function.driver +
            ", and no record says that kata-vfio bound it: nothing was changed; kata-vfio "
            "gpus --all shows what is on VFIO";
        return report;
    }
    vfio::BindRecord blank;
    blank.address = function.address;
    blank.driver = function.driver.value_or("vfio-pci");
    blank.changed = true;
    if (ours)
        vfio::restore_driver(host.root, blank, host.timeouts.host_write);
    report.kind = RestoreKind::reprobed;
    const auto driver = probe(host, function.address);
    if (driver == "vfio-pci" && ours)
        throw Failure(Errc::bind_failed, "vfio-pci took " + name + " again")
            .blocked_by("its list of ids, which has " + function.ids() +
                        " (written to its new_id, or given as ids= when it was loaded)")
            .remedy("echo " + function.ids().substr(0, 4) + " " + function.ids().substr(5) +
                    " > /sys/bus/pci/drivers/vfio-pci/remove_id, then try again");
    report.note = "no record of a bind of " + name + ": its driver_override was cleared and " +
                  (driver ? "the kernel chose " + *driver : "no driver wants it");
    return report;
}

} // namespace

std::string_view name(RestoreKind kind) noexcept {
    switch (kind) {
    case RestoreKind::restored:
        return "restored";
    case RestoreKind::unchanged:
        return "unchanged";
    case RestoreKind::left_alone:
        return "left_alone";
    case RestoreKind::reprobed:
        return "reprobed";
    }
    return "unknown";
}

RestoreReport restore_function(const Host& host, const std::string& bdf) {
    const auto address = vfio::PciAddress::require(bdf);
    (void)vfio::read_function(host.root, address); // what is wrong with the address it says best
    const auto turn = take_turn(host.root, address);
    const auto function = vfio::read_function(host.root, address);
    host.require_unclaimed(address.text(), plugin::function_claim(address.text()),
                           function.iommu_group);
    const BoundRecords records(host.state);
    const auto record = records.load(address);
    auto report = record ? with_record(host, *record) : without_record(host, function);
    if (record)
        records.forget(address);
    const auto now = vfio::read_function(host.root, address);
    report.address = address;
    report.driver = now.driver;
    report.driver_override = now.driver_override;
    return report;
}

json::object restore_json(const RestoreReport& report) {
    return {{"address", report.address.text()},
            {"outcome", name(report.kind)},
            {"driver", or_null(report.driver)},
            {"driver_override", or_null(report.driver_override)},
            {"note", report.note}};
}

std::string restore_text(const json::object& restored) {
    return printable(string_at(restored, "note")) + "\n";
}

} // namespace kata_vfio::cli
