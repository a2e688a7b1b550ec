// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/context.hpp"
#include "runtime-plugin/plugin/reconcile_report.hpp"

#include <string>
#include <vector>

/// The looking part of reconcile: on a thread of the pool, and nothing but claims of the dead and
/// files that can't be trusted is touched.
namespace kata_vfio::plugin {

/// What there is to be done for each of these sandboxes, found without its lock and without its
/// QEMU's monitor. Exact for one that is settled; for the others Sandbox::reconcile() looks again.
std::vector<SandboxFinding> survey_sandboxes(const Context& context,
                                             const std::vector<std::string>& ids);

/// Puts directories aside that no sandbox of ours can have (a name that is no id, a link), so that
/// they are in nobody's way. In a dry run it only tells.
std::vector<Quarantined> survey_strangers(const Context& context, bool dry_run);

/// Drops claims whose sandbox and process are both gone, and torn ones; puts aside those that can't
/// be read. In a dry run it only tells. `quarantined` gets what was, or would be, put aside.
std::vector<ClaimFinding> survey_claims(const Context& context, bool dry_run,
                                        std::vector<Quarantined>& quarantined);

/// Every mediated device, every function on VFIO, and what sandboxes have lost.
std::vector<DeviceFinding> survey_devices(const Context& context);

} // namespace kata_vfio::plugin
