// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/bind.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/bound_record.hpp"
#include "runtime-plugin/cli/function_turn.hpp"
#include "runtime-plugin/cli/gpus.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/wait_path.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// The record to keep. A bind that was killed left its own: the state it stopped in (no driver, our
/// override) is not what there was before, the kept record is.
vfio::BindRecord truer(const std::optional<vfio::BindRecord>& kept, vfio::BindRecord found) {
    if (kept && !found.earlier_driver && found.earlier_override == kept->driver)
        return *kept;
    return found;
}

/// What `bind` takes: a near miss of another kind, the host bridge say, is no help to anybody.
vfio::PciFunction function_to_bind(const vfio::HostRoot& root, const vfio::PciAddress& address) {
    try {
        return vfio::read_function(root, address);
    } catch (Failure& failure) {
        if (failure.code() != Errc::device_not_found)
            throw;
        std::vector<std::string> displays;
        for (const auto& function : vfio::list_functions(root))
            if (function.is_display())
                displays.push_back(function.address.text());
        const auto near = nearest(address.text(), displays);
        throw failure.remedy((near.empty() ? "" : "did you mean " + near + "? ") +
                             std::string("kata-vfio gpus --all lists them; one that was "
                                         "hot-removed comes back by echo 1 > /sys/bus/pci/rescan"));
    }
}

/// After a failed bind: the record is needed as long as the function is not as it was.
void settle_record(const Host& host, const BoundRecords& records, const vfio::BindRecord& written) {
    const auto now = vfio::read_function(host.root, written.address);
    if (!now.unbind_pending && now.driver == written.earlier_driver &&
        now.driver_override == written.earlier_override)
        records.forget(written.address);
}

} // namespace

BindReport bind_function(const Host& host, const std::string& bdf, const GivenUp& given_up) {
    const auto address = vfio::PciAddress::require(bdf);
    (void)function_to_bind(host.root, address);
    const auto turn = take_turn(host.root, address);
    const auto function = vfio::read_function(host.root, address);
    const int group = vfio::group_of(host.root, address);
    host.require_unclaimed(address.text(), plugin::function_claim(address.text()), group);

    const BoundRecords records(host.state);
    const auto kept = records.load(address);
    std::optional<vfio::BindRecord> written;
    vfio::BindOptions options;
    options.deadline = host.timeouts.host_write;
    options.before_first_write = [&](const vfio::BindRecord& record) {
        const auto saved = truer(kept, record);
        records.save(saved);
        written = saved;
    };
    BindReport report;
    try {
        report.record = vfio::bind_to_vfio(host.root, address, options);
    } catch (const Failure&) {
        if (written)
            settle_record(host, records, *written);
        throw;
    }
    if (written && given_up()) {
        vfio::restore_driver(host.root, *written, host.timeouts.host_write);
        records.forget(address);
        throw Failure(Errc::cancelled, "cancelled: " + address.text() + " was given back to " +
                                           written->earlier_driver.value_or("no driver"));
    }
    if (written) {
        report.record.earlier_driver = written->earlier_driver;
        report.record.earlier_override = written->earlier_override;
    }
    report.iommu_group = group;
    const auto has_node = [&] { return node_of(host.root, function).has_value(); };
    vfio::wait_until(host.root.dev("vfio"), has_node, host.timeouts.device_node,
                     host.root.watches());
    report.node = node_of(host.root, function);
    report.blockers =
        vfio::viability_blockers(host.root, vfio::read_group(host.root, group), {address});
    return report;
}

json::object bind_json(const BindReport& report) {
    return {{"address", report.record.address.text()},
            {"driver", report.record.driver},
            {"earlier_driver", or_null(report.record.earlier_driver)},
            {"earlier_override", or_null(report.record.earlier_override)},
            {"changed", report.record.changed},
            {"iommu_group", or_null(report.iommu_group)},
            {"node", or_null(report.node)},
            {"viable", report.blockers.empty()},
            {"blockers", blockers_json(report.blockers)}};
}

std::string bind_text(const json::object& bound) {
    auto driver = string_at(bound, "driver");
    const auto earlier = string_at(bound, "earlier_driver");
    driver += bound.at("changed").as_bool()
                  ? " (was " + (earlier.empty() ? "without a driver" : earlier) + ")"
                  : " (it was already)";
    auto text = properties({{"address", string_at(bound, "address")},
                            {"driver", driver},
                            {"group", number_at(bound, "iommu_group")},
                            {"node", string_at(bound, "node")}});
    for (const auto& blocker : bound.at("blockers").as_array())
        text += "the group can't go to a guest yet: " +
                printable(string_at(blocker.as_object(), "why")) + "\n";
    return text;
}

} // namespace kata_vfio::cli
