// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

namespace kata_vfio::daemon {
namespace {

/// Seconds. A list takes less than a millisecond, an attach of a vGPU tens of them, one of a large
/// guest's function seconds, an unplug up to its limit of 20 s.
const prometheus::Histogram::BucketBoundaries call_buckets{
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60};

double seconds(Metrics::Duration took) {
    return std::chrono::duration<double>(took).count();
}

/// "VERDICT_KEPT" -> "kept"
std::string label(v1::ReconcileResponse::Verdict verdict) {
    auto word = v1::ReconcileResponse::Verdict_Name(verdict);
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return word.substr(std::string_view("verdict_").size());
}

std::vector<std::string> verdicts() {
    std::vector<std::string> all;
    for (int i = v1::ReconcileResponse::Verdict_MIN + 1; i <= v1::ReconcileResponse::Verdict_MAX;
         ++i)
        if (v1::ReconcileResponse::Verdict_IsValid(i))
            all.push_back(label(static_cast<v1::ReconcileResponse::Verdict>(i)));
    return all;
}

} // namespace

struct Metrics::Families {
    explicit Families(prometheus::Registry& r)
        : calls(prometheus::BuildCounter()
                    .Name("kata_vfio_calls_total")
                    .Help("Calls that have ended, by method and reason (ok, or the error's name)")
                    .Register(r)),
          call_seconds(prometheus::BuildHistogram()
                           .Name("kata_vfio_call_duration_seconds")
                           .Help("From a call's start to its end, failed ones included")
                           .Register(r)),
          step_seconds(prometheus::BuildHistogram()
                           .Name("kata_vfio_step_duration_seconds")
                           .Help("Of the steps of attach and detach")
                           .Register(r)),
          qmp_seconds(prometheus::BuildHistogram()
                          .Name("kata_vfio_qmp_round_trip_seconds")
                          .Help("Of QMP commands that QEMU has taken: all of a sandbox whose "
                                "qmp_log is on, otherwise those of the Qmp service")
                          .Register(r)),
          monitor(prometheus::BuildCounter()
                      .Name("kata_vfio_monitor_events_total")
                      .Help("What happened to connections to QEMU")
                      .Register(r)),
          reconciled(prometheus::BuildCounter()
                         .Name("kata_vfio_reconcile_sandboxes_total")
                         .Help("Sandboxes a reconcile has looked at, by verdict")
                         .Register(r)),
          reconciled_last(prometheus::BuildGauge()
                              .Name("kata_vfio_reconcile_last_sandboxes")
                              .Help("Sandboxes by verdict, of the last reconcile of all of them")
                              .Register(r)),
          quarantined(prometheus::BuildCounter()
                          .Name("kata_vfio_reconcile_quarantined_total")
                          .Help("Files a reconcile has put aside")
                          .Register(r)),
          configuration(
              prometheus::BuildGauge()
                  .Name("kata_vfio_configuration_good")
                  .Help("0 when the last reading of the configuration failed and an older "
                        "one is in force")
                  .Register(r)),
          refused(prometheus::BuildCounter()
                      .Name("kata_vfio_refused_connections_total")
                      .Help("Connections of users that are not in allowed_uids, and on TCP "
                            "those that TLS refused, by reason")
                      .Register(r)),
          vgpus(prometheus::BuildGauge()
                    .Name("kata_vfio_vgpus")
                    .Help("vGPUs on the host, by type, parent and state")
                    .Register(r)),
          available(prometheus::BuildGauge()
                        .Name("kata_vfio_vgpu_available_instances")
                        .Help("How many more vGPUs of the type the parent can make now")
                        .Register(r)),
          sandboxes(prometheus::BuildGauge()
                        .Name("kata_vfio_sandboxes")
                        .Help("Sandboxes, on record and open in this daemon")
                        .Register(r)),
          attachments(prometheus::BuildGauge()
                          .Name("kata_vfio_attachments")
                          .Help("Devices attached, by kind")
                          .Register(r)),
          pending(prometheus::BuildGauge()
                      .Name("kata_vfio_pending_removals")
                      .Help("vGPUs and attachments that are told to go and still held")
                      .Register(r)),
          running(prometheus::BuildGauge()
                      .Name("kata_vfio_calls_running")
                      .Help("Calls under way")
                      .Register(r)),
          watchers(prometheus::BuildGauge()
                       .Name("kata_vfio_watchers")
                       .Help("Clients of Sandboxes.Watch")
                       .Register(r)) {}

    prometheus::Family<prometheus::Counter>& calls;
    prometheus::Family<prometheus::Histogram>&call_seconds, &step_seconds, &qmp_seconds;
    prometheus::Family<prometheus::Counter>&monitor, &reconciled;
    prometheus::Family<prometheus::Gauge>& reconciled_last;
    prometheus::Family<prometheus::Counter>& quarantined;
    prometheus::Family<prometheus::Gauge>& configuration;
    prometheus::Family<prometheus::Counter>& refused;
    prometheus::Family<prometheus::Gauge>&vgpus, &available, &sandboxes, &attachments, &pending,
        &running, &watchers;
    std::mutex mutex; ///< of the gauges that come and go
    std::vector<prometheus::Gauge*> vgpu_gauges, type_gauges;
};

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)) {
    families_->configuration.Add({}).Set(1);
    // Each is there from the start: the first refusal is an increase too.
    for (const auto reason : refused_reasons)
        families_->refused.Add({{"reason", std::string(reason)}});
    families_->quarantined.Add({});
    for (const auto& verdict : verdicts()) {
        families_->reconciled.Add({{"verdict", verdict}});
        families_->reconciled_last.Add({{"verdict", verdict}});
    }
}

Metrics::~Metrics() = default;

void Metrics::called(std::string_view method, std::string_view reason, Duration took) {
    const std::string name(method);
    families_->calls.Add({{"method", name}, {"reason", std::string(reason)}}).Increment();
    families_->call_seconds.Add({{"method", name}}, call_buckets).Observe(seconds(took));
}

void Metrics::stepped(std::string_view method, std::string_view step, Duration took) {
    families_->step_seconds
        .Add({{"method", std::string(method)}, {"step", std::string(step)}}, call_buckets)
        .Observe(seconds(took));
}

void Metrics::qmp(std::string_view command, Duration took) {
    families_->qmp_seconds.Add({{"command", std::string(command)}}, call_buckets)
        .Observe(seconds(took));
}

void Metrics::monitor(std::string_view what) {
    families_->monitor.Add({{"event", std::string(what)}}).Increment();
}

void Metrics::reconciled(const v1::ReconcileResponse& report, bool whole) {
    std::map<std::string, std::size_t> found;
    for (const auto& verdict : verdicts())
        found[verdict] = 0;
    for (const auto& finding : report.sandboxes())
        ++found[label(finding.verdict())];
    for (const auto& [verdict, number] : found) {
        const auto value = static_cast<double>(number);
        families_->reconciled.Add({{"verdict", verdict}}).Increment(value);
        if (whole)
            families_->reconciled_last.Add({{"verdict", verdict}}).Set(value);
    }
    families_->quarantined.Add({}).Increment(report.quarantined_size());
}

void Metrics::configuration(bool good) {
    families_->configuration.Add({}).Set(good ? 1 : 0);
}

void Metrics::refused_connection(std::string_view reason) {
    families_->refused.Add({{"reason", std::string(reason)}}).Increment();
}

void Metrics::host(const Host& host) {
    auto& f = *families_;
    const std::lock_guard lock(f.mutex);
    // What is not there any more must not keep its last value.
    for (auto* gauge : f.vgpu_gauges)
        f.vgpus.Remove(gauge);
    for (auto* gauge : f.type_gauges)
        f.available.Remove(gauge);
    f.vgpu_gauges.clear();
    f.type_gauges.clear();
    std::size_t pending = host.pending;
    for (const auto& vgpu : host.vgpus) {
        const bool going = vgpu.state() == v1::Vgpu::STATE_PENDING_REMOVAL;
        pending += going;
        auto& gauge = f.vgpus.Add({{"type", vgpu.type()},
                                   {"parent", vgpu.parent()},
                                   {"state", going ? "pending_removal" : "present"}});
        gauge.Increment();
        if (std::find(f.vgpu_gauges.begin(), f.vgpu_gauges.end(), &gauge) == f.vgpu_gauges.end())
            f.vgpu_gauges.push_back(&gauge);
    }
    for (const auto& type : host.types) {
        auto& gauge = f.available.Add({{"type", type.type()}, {"parent", type.parent()}});
        gauge.Set(type.available_instances());
        f.type_gauges.push_back(&gauge);
    }
    f.sandboxes.Add({{"state", "recorded"}}).Set(static_cast<double>(host.sandboxes));
    f.attachments.Add({{"kind", "pci"}}).Set(static_cast<double>(host.pci));
    f.attachments.Add({{"kind", "mdev"}}).Set(static_cast<double>(host.mdev));
    f.pending.Add({}).Set(static_cast<double>(pending));
}

void Metrics::running(std::size_t calls, std::size_t open_sandboxes, std::size_t watchers) {
    families_->running.Add({}).Set(static_cast<double>(calls));
    families_->sandboxes.Add({{"state", "open"}}).Set(static_cast<double>(open_sandboxes));
    families_->watchers.Add({}).Set(static_cast<double>(watchers));
}

std::string Metrics::text() const {
    return prometheus::TextSerializer().Serialize(registry_->Collect());
}

std::string_view step_label(std::string_view text) noexcept {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 9> table{{
        {"claim ", "claim"},
        {"create vGPU ", "create_vgpu"},
        {"enable the virtual functions ", "enable_functions"},
        {"bind ", "bind"},
        {"plug ", "plug"},
        {"unplug ", "unplug"},
        {"remove vGPU ", "remove_vgpu"},
        {"restore ", "restore"},
        {"undo ", "undo"},
    }};
    for (const auto& [prefix, label] : table)
        if (text.starts_with(prefix))
            return label;
    return "other";
}

} // namespace kata_vfio::daemon
