// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"
#include "runtime-plugin/shim/oci/seccomp_profile.hpp"

namespace kata_vfio::shim::oci {

/// The profile as a program for the kernel. Made here, as the guest's processor is this host's: its
/// agent has no use for libseccomp, and a guest that starts no time for it.
///
/// As runc makes it: calls that libseccomp does not know are left out; several conditions on one
/// argument mean any of them; and a call younger than every one the profile names is answered
/// ENOSYS where it would have been refused, so that programs fall back to an older one. Throws
/// ttrpc::Error(invalid_argument) for what libseccomp does not take.
agent::SeccompFilter compile(const SeccompProfile& profile);

} // namespace kata_vfio::shim::oci
