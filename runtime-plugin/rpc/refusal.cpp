// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/rpc/refusal.hpp"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

#include <array>
#include <charconv>

namespace kata_vfio::rpc {
namespace {

using S = grpc::StatusCode;

/// Long enough that what holds it has a chance to let go, short for a person.
constexpr std::chrono::seconds retry_delay{1};

// clang-format off
constexpr Mapping table[] = {
    {Errc::internal,              S::INTERNAL,            false, false, ""},
    {Errc::invalid_argument,      S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::malformed_address,     S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::malformed_uuid,        S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::malformed_device,      S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::malformed_sandbox_id,  S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::abi_mismatch,          S::UNIMPLEMENTED,       false, false, ""},
    {Errc::config_invalid,        S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::machine_refused,       S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::root_bus_off,          S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::live_machine_refused,  S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::annotation_refused,    S::PERMISSION_DENIED,   true,  false, ""},
    {Errc::not_allowed,           S::PERMISSION_DENIED,   true,  false, ""},
    {Errc::host_io,               S::UNKNOWN,             false, false, ""},
    {Errc::no_iommu,              S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::device_not_found,      S::NOT_FOUND,           false, false, "device"},
    {Errc::not_a_vfio_node,       S::INVALID_ARGUMENT,    false, false, ""},
    {Errc::sandbox_not_found,     S::NOT_FOUND,           false, false, "sandbox"},
    {Errc::group_not_viable,      S::FAILED_PRECONDITION, true,  false, "device"},
    {Errc::device_in_use,         S::FAILED_PRECONDITION, true,  true,  "device"},
    {Errc::gvt_refused,           S::FAILED_PRECONDITION, true,  false, "sandbox"},
    {Errc::limit_too_low,         S::FAILED_PRECONDITION, true,  false, "sandbox"},
    {Errc::no_instances,          S::RESOURCE_EXHAUSTED,  false, true,  "mdev_type"},
    {Errc::uuid_exists,           S::ALREADY_EXISTS,      false, false, "device"},
    {Errc::type_not_found,        S::NOT_FOUND,           false, false, "mdev_type"},
    {Errc::parent_not_found,      S::NOT_FOUND,           false, false, "mdev_parent"},
    {Errc::bind_failed,           S::FAILED_PRECONDITION, true,  false, "device"},
    {Errc::removal_pending,       S::FAILED_PRECONDITION, true,  true,  "device"},
    {Errc::state_corrupt,         S::DATA_LOSS,           false, false, "sandbox"},
    {Errc::not_attached,          S::NOT_FOUND,           false, false, "device"},
    {Errc::already_attached,      S::ALREADY_EXISTS,      false, false, "device"},
    {Errc::permission_denied,     S::PERMISSION_DENIED,   false, false, ""},
    {Errc::sandbox_busy,          S::ABORTED,             false, true,  "sandbox"},
    {Errc::driver_missing,        S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::qemu_refused,          S::FAILED_PRECONDITION, true,  false, ""},
    {Errc::monitor_missing,       S::UNAVAILABLE,         true,  true,  "sandbox"},
    {Errc::monitor_refused,       S::UNAVAILABLE,         true,  true,  "sandbox"},
    {Errc::monitor_busy,          S::UNAVAILABLE,         true,  true,  "sandbox"},
    {Errc::not_qmp,               S::FAILED_PRECONDITION, true,  false, "sandbox"},
    {Errc::qemu_gone,             S::UNAVAILABLE,         true,  true,  "sandbox"},
    {Errc::root_bus_full,         S::RESOURCE_EXHAUSTED,  false, false, "sandbox"},
    {Errc::guest_not_ready,       S::FAILED_PRECONDITION, true,  true,  "sandbox"},
    {Errc::qmp_protocol,          S::INTERNAL,            false, false, ""},
    {Errc::qmp_timeout,           S::DEADLINE_EXCEEDED,   false, true,  "sandbox"},
    {Errc::unplug_timeout,        S::DEADLINE_EXCEEDED,   false, true,  "device"},
    {Errc::host_timeout,          S::DEADLINE_EXCEEDED,   false, true,  ""},
    {Errc::cancelled,             S::CANCELLED,           false, false, ""},
};
// clang-format on

/// Member of the request a malformed value came in.
std::string_view field_of(Errc code) {
    switch (code) {
    case Errc::malformed_address:
    case Errc::malformed_device:
    case Errc::not_a_vfio_node:
        return "device";
    case Errc::malformed_uuid:
        return "uuid";
    case Errc::malformed_sandbox_id:
        return "sandbox";
    default:
        return "";
    }
}

void add(google::rpc::Status& status, const google::protobuf::Message& detail) {
    status.add_details()->PackFrom(detail);
}

void put(google::rpc::ErrorInfo& info, const char* key, const std::string& text) {
    if (!text.empty())
        (*info.mutable_metadata())[key] = text;
}

grpc::Status finish(google::rpc::Status status) {
    std::string bytes;
    status.SerializeToString(&bytes);
    return {static_cast<S>(status.code()), status.message(), std::move(bytes)};
}

google::rpc::RetryInfo retry_info() {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(retry_delay.count());
    return retry;
}

/// A status without our details: gRPC's own, or a proxy's between.
Failure foreign(const grpc::Status& status) {
    const auto said = status.error_message();
    switch (status.error_code()) {
    case S::CANCELLED:
        return Failure(Errc::cancelled, "the call was cancelled").said(said);
    case S::DEADLINE_EXCEEDED:
        return Failure(Errc::host_timeout, "the daemon did not answer in time").said(said);
    case S::UNAVAILABLE:
        return Failure(Errc::host_io, "the daemon can't be reached")
            .said(said)
            // gRPC has the kernel's EACCES as a text alone.
            .remedy(said.find("Permission denied") != std::string::npos
                        ? "its socket is not for this user: SocketMode or SocketGroup of "
                          "kata-vfiod.socket, then allowed_uids of [vfio.daemon]"
                        : "is kata-vfiod running? (systemctl status kata-vfiod)");
    case S::UNAUTHENTICATED:
    case S::PERMISSION_DENIED:
        return Failure(Errc::permission_denied, "the daemon refused the connection").said(said);
    case S::UNIMPLEMENTED:
        return Failure(Errc::abi_mismatch, "the daemon does not know this call")
            .said(said)
            .remedy("install the daemon and the command of one version");
    case S::RESOURCE_EXHAUSTED:
        return Failure(Errc::invalid_argument, "a message is larger than the daemon takes")
            .said(said);
    default:
        return Failure(Errc::internal, "the daemon failed").said(said);
    }
}

/// One of the service's own refusals, as it counts for a command: none but those of the request
/// itself is wrong usage.
Failure own(std::string_view reason, const std::string& message) {
    for (const auto refusal : service_refusals) {
        if (name(refusal) != reason)
            continue;
        switch (refusal) {
        case ServiceRefusal::draining:
            return Failure(Errc::host_io, message).remedy("try again: the next daemon will serve");
        case ServiceRefusal::too_many_calls:
            return Failure(Errc::host_io, message).remedy("try again when some have ended");
        case ServiceRefusal::watcher_too_slow:
            return Failure(Errc::host_io, message).remedy("read faster, or ask for less");
        case ServiceRefusal::request_id_reused:
        case ServiceRefusal::message_too_large:
            return {Errc::invalid_argument, message};
        case ServiceRefusal::peer_not_allowed:
            return {Errc::permission_denied, message};
        case ServiceRefusal::malformed_message:
        case ServiceRefusal::unknown_method:
            return Failure(Errc::abi_mismatch, message)
                .remedy("install the daemon and the command of one version");
        }
    }
    return {Errc::host_io, message}; // of a younger daemon
}

} // namespace

std::string_view name(ServiceRefusal refusal) noexcept {
    switch (refusal) {
    case ServiceRefusal::draining:
        return "draining";
    case ServiceRefusal::request_id_reused:
        return "request_id_reused";
    case ServiceRefusal::peer_not_allowed:
        return "peer_not_allowed";
    case ServiceRefusal::watcher_too_slow:
        return "watcher_too_slow";
    case ServiceRefusal::too_many_calls:
        return "too_many_calls";
    case ServiceRefusal::message_too_large:
        return "message_too_large";
    case ServiceRefusal::malformed_message:
        return "malformed_message";
    case ServiceRefusal::unknown_method:
        return "unknown_method";
    }
    return "unknown";
}

Mapping mapping(Errc code) noexcept {
    for (const auto& row : table)
        if (row.code == code)
            return row;
    constexpr std::array<S, 8> by_hundred{
        S::OK,      S::INTERNAL,    S::INVALID_ARGUMENT,  S::FAILED_PRECONDITION,
        S::UNKNOWN, S::UNAVAILABLE, S::DEADLINE_EXCEEDED, S::CANCELLED};
    const auto hundred = static_cast<int>(code) / 100;
    return {code,
            hundred > 0 && hundred < 8 ? by_hundred[static_cast<std::size_t>(hundred)] : S::UNKNOWN,
            false, false, ""};
}

std::string_view code_name(grpc::StatusCode code) noexcept {
    constexpr std::array<std::string_view, 17> names{"OK",
                                                     "CANCELLED",
                                                     "UNKNOWN",
                                                     "INVALID_ARGUMENT",
                                                     "DEADLINE_EXCEEDED",
                                                     "NOT_FOUND",
                                                     "ALREADY_EXISTS",
                                                     "PERMISSION_DENIED",
                                                     "RESOURCE_EXHAUSTED",
                                                     "FAILED_PRECONDITION",
                                                     "ABORTED",
                                                     "OUT_OF_RANGE",
                                                     "UNIMPLEMENTED",
                                                     "INTERNAL",
                                                     "UNAVAILABLE",
                                                     "DATA_LOSS",
                                                     "UNAUTHENTICATED"};
    const auto index = static_cast<std::size_t>(code);
    return index < names.size() ? names[index] : "UNKNOWN";
}

grpc::Status status_of(const Failure& failure, const Subject& subject) {
    const auto row = mapping(failure.code());
    google::rpc::Status status;
    status.set_code(row.status);
    status.set_message(failure.what());

    google::rpc::ErrorInfo info;
    info.set_reason(std::string(name(failure.code())));
    info.set_domain(std::string(domain));
    put(info, "status", std::to_string(static_cast<int>(failure.code())));
    put(info, "action", failure.action());
    put(info, "problem", failure.problem());
    put(info, "said", failure.verbatim());
    put(info, "blocker", failure.blocker());
    put(info, "remedy", failure.advice());
    add(status, info);

    const auto& about = subject.device.empty() ? subject.sandbox : subject.device;
    if (row.precondition) {
        google::rpc::PreconditionFailure precondition;
        auto& violation = *precondition.add_violations();
        violation.set_type(info.reason());
        violation.set_subject(about);
        violation.set_description(failure.blocker().empty() ? failure.problem()
                                                            : failure.blocker());
        add(status, precondition);
    }
    if (const auto field = field_of(failure.code()); !field.empty()) {
        google::rpc::BadRequest bad;
        auto& violation = *bad.add_field_violations();
        violation.set_field(std::string(field));
        violation.set_description(failure.problem());
        add(status, bad);
    }
    if (!row.resource.empty()) {
        google::rpc::ResourceInfo resource;
        resource.set_resource_type(std::string(row.resource));
        resource.set_resource_name(row.resource == "sandbox" ? subject.sandbox : about);
        resource.set_owner(failure.blocker());
        resource.set_description(failure.problem());
        add(status, resource);
    }
    if (row.retry)
        add(status, retry_info());
    return finish(std::move(status));
}

grpc::Status status_of(ServiceRefusal refusal, const std::string& message) {
    google::rpc::Status status;
    status.set_message(message);
    google::rpc::ErrorInfo info;
    info.set_reason(std::string(name(refusal)));
    info.set_domain(std::string(domain));
    switch (refusal) {
    case ServiceRefusal::draining:
        status.set_code(S::UNAVAILABLE);
        break;
    case ServiceRefusal::request_id_reused:
    case ServiceRefusal::malformed_message:
        status.set_code(S::INVALID_ARGUMENT);
        break;
    case ServiceRefusal::peer_not_allowed:
        status.set_code(S::PERMISSION_DENIED);
        break;
    case ServiceRefusal::watcher_too_slow:
    case ServiceRefusal::too_many_calls:
    case ServiceRefusal::message_too_large:
        status.set_code(S::RESOURCE_EXHAUSTED);
        break;
    case ServiceRefusal::unknown_method:
        status.set_code(S::UNIMPLEMENTED);
        break;
    }
    add(status, info);
    if (refusal == ServiceRefusal::draining || refusal == ServiceRefusal::too_many_calls)
        add(status, retry_info());
    if (status.code() == S::INVALID_ARGUMENT) {
        google::rpc::BadRequest bad;
        auto& violation = *bad.add_field_violations();
        if (refusal == ServiceRefusal::request_id_reused) // else it is the whole message
            violation.set_field("request_id");
        violation.set_description(message);
        add(status, bad);
    }
    return finish(std::move(status));
}

Failure failure_of(const grpc::Status& status) {
    google::rpc::Status full;
    if (!full.ParseFromString(status.error_details()))
        return foreign(status);
    for (const auto& detail : full.details()) {
        google::rpc::ErrorInfo info;
        if (!detail.UnpackTo(&info) || info.domain() != domain)
            continue;
        const auto part = [&](const char* key) {
            const auto found = info.metadata().find(key);
            return found == info.metadata().end() ? std::string() : found->second;
        };
        int number = 0;
        const auto text = part("status");
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
        if (parsed.ec != std::errc() || number <= 0)
            return own(info.reason(), status.error_message());
        Failure failure(static_cast<Errc>(number), part("problem"));
        failure.said(part("said")).blocked_by(part("blocker")).remedy(part("remedy"));
        if (const auto action = part("action"); !action.empty())
            failure.during(action);
        return failure;
    }
    return foreign(status);
}

} // namespace kata_vfio::rpc
