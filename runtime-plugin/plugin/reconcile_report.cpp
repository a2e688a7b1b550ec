// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/reconcile_report.hpp"

#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>

#include <ostream>

namespace kata_vfio::plugin {
namespace json = boost::json;
namespace {

json::value text_or_null(const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value holder_json(const std::optional<PendingOn>& holder) {
    if (!holder)
        return nullptr;
    return {{"pid", holder->pid}, {"command", holder->command}};
}

json::object json_of(const Action& action) {
    return {{"action", name(action.kind)}, {"subject", action.subject}, {"why", action.why}};
}

json::object json_of(const Quarantined& moved) {
    return {{"file", moved.from.string()}, {"to", moved.to.string()}, {"why", moved.why}};
}

json::object json_of(const SandboxFinding& finding);
json::object json_of(const DeviceFinding& finding);
json::object json_of(const ClaimFinding& finding);

template <class T>
json::array array_of(const std::vector<T>& all) {
    json::array array;
    for (const auto& each : all)
        array.push_back(json_of(each));
    return array;
}

json::object json_of(const SandboxFinding& finding) {
    json::object object{{"sandbox", finding.id},
                        {"verdict", name(finding.verdict)},
                        {"why", finding.why},
                        {"actions", array_of(finding.actions)},
                        {"holder", holder_json(finding.holder)},
                        {"error", nullptr}};
    if (finding.failure)
        object["error"] = failure_json(*finding.failure);
    return object;
}

json::object json_of(const DeviceFinding& finding) {
    return {{"kind", finding.mdev ? "mdev" : "pci"},  {"name", finding.name},
            {"parent", text_or_null(finding.parent)}, {"type", text_or_null(finding.type)},
            {"driver", text_or_null(finding.driver)}, {"owner", name(finding.owner)},
            {"state", name(finding.state)},           {"sandbox", text_or_null(finding.sandbox)},
            {"holder", holder_json(finding.holder)},  {"why", text_or_null(finding.why)}};
}

json::object json_of(const ClaimFinding& finding) {
    return {{"claim", finding.claim},
            {"sandbox", text_or_null(finding.sandbox)},
            {"verdict", finding.verdict},
            {"why", finding.why}};
}

} // namespace

std::string_view name(Verdict verdict) noexcept {
    switch (verdict) {
    case Verdict::kept:
        return "kept";
    case Verdict::recovered:
        return "recovered";
    case Verdict::given_back:
        return "given_back";
    case Verdict::pending:
        return "pending";
    case Verdict::busy:
        return "busy";
    case Verdict::quarantined:
        return "quarantined";
    case Verdict::failed:
        return "failed";
    }
    return "unknown";
}

std::ostream& operator<<(std::ostream& out, Verdict verdict) {
    return out << name(verdict);
}

std::string_view name(DeviceFinding::Owner owner) noexcept {
    switch (owner) {
    case DeviceFinding::Owner::ours:
        return "ours";
    case DeviceFinding::Owner::foreign:
        return "foreign";
    case DeviceFinding::Owner::by_hand:
        return "by_hand";
    }
    return "unknown";
}

std::string_view name(DeviceFinding::State state) noexcept {
    switch (state) {
    case DeviceFinding::State::idle:
        return "idle";
    case DeviceFinding::State::in_use:
        return "in_use";
    case DeviceFinding::State::pending:
        return "pending";
    case DeviceFinding::State::lost:
        return "lost";
    }
    return "unknown";
}

json::object to_json(const ReconcileReport& report) {
    auto quarantined = array_of(report.quarantined);
    for (const auto& finding : report.sandboxes)
        for (const auto& moved : finding.quarantined)
            quarantined.push_back(json_of(moved));
    return {{"dry_run", report.dry_run},
            {"sandboxes", array_of(report.sandboxes)},
            {"devices", array_of(report.devices)},
            {"claims", array_of(report.claims)},
            {"quarantined", std::move(quarantined)}};
}

} // namespace kata_vfio::plugin
