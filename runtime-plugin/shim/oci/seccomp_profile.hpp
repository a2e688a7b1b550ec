// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace kata_vfio::shim::oci {

/// What becomes of a system call, as seccomp(2) returns it: SECCOMP_RET_* and, of an errno or a
/// tracer's message, the number in its low 16 bits.
using SeccompAction = std::uint32_t;

struct SeccompCondition {
    std::uint32_t argument = 0; ///< 0 to 5
    std::uint64_t value = 0, second_value = 0;
    std::string op; ///< "SCMP_CMP_EQ"
};

/// These calls, when all conditions hold.
struct SeccompRule {
    std::vector<std::string> names;
    SeccompAction action = 0;
    std::vector<SeccompCondition> conditions;
};

/// OCI's linux.seccomp. runtime-spec, config-linux.md, "Seccomp".
struct SeccompProfile {
    SeccompAction default_action = 0;
    std::vector<std::string> architectures; ///< "SCMP_ARCH_X86_64"; the host's own is always meant
    std::uint32_t flags = 0;                ///< SECCOMP_FILTER_FLAG_*
    std::vector<SeccompRule> rules;
};

/// Throws agent::ProtocolError that names what is wrong: an action, flag or operator that is not
/// known, an argument there is not; and SCMP_ACT_NOTIFY, whose listener would be on the host.
SeccompProfile parse_seccomp(const boost::json::object& seccomp);

} // namespace kata_vfio::shim::oci
