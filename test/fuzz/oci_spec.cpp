// SPDX-License-Identifier: Apache-2.0
// A bundle's config.json, an exec's process and an update's resources: read, or refused as the
// caller's fault, and what is read can be told to the guest.
#include "runtime-plugin/shim/oci/spec.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "test/fuzz/fuzz.hpp"

#include <string>

using namespace kata_vfio::shim;

namespace kata_vfio::fuzz {
namespace {

template <class F>
void reads(F&& read) {
    try {
        read();
    } catch (const ttrpc::Error& error) {
        require(error.code() == ttrpc::Code::invalid_argument, "a refusal is the caller's fault");
    }
}

/// What the shim has read of a process the agent takes, or refuses by its own limits.
void told(const agent::ProcessSpec& process, const agent::ResourceLimits& limits) {
    agent::Request request;
    agent::Start start;
    start.process = 1;
    start.container.id = start.container.root = "c";
    start.container.process = process;
    start.container.limits = limits;
    request.call = start;
    try {
        const auto text = agent::to_payload(request);
        require(agent::to_payload(agent::parse_request(text)) == text, "told as it was read");
    } catch (const agent::ProtocolError&) {
    }
}

} // namespace

void one(std::string_view bytes) {
    reads([&] {
        const auto spec = oci::parse_spec(bytes);
        require(spec.kind == oci::Kind::single || !spec.sandbox_id.empty(),
                "a pod's has its sandbox's id");
        require(spec.sandbox_id.find('/') == std::string::npos, "which is one path component");
        const auto size = oci::pod_size(spec.annotations);
        require(size.memory_mib >= 0 && size.vcpus >= 0, "a size is none, or above");
        told(spec.process, spec.limits);
    });
    reads([&] { told(oci::parse_process(bytes), {}); });
    reads([&] {
        const auto limits = oci::parse_resources(bytes);
        require(!limits.cpu_weight || (*limits.cpu_weight >= 1 && *limits.cpu_weight <= 10000),
                "a weight is cgroup2's");
    });
}

} // namespace kata_vfio::fuzz
