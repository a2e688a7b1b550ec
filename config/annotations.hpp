// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"

#include <map>
#include <string>

namespace kata_vfio::config {

/// Applies a sandbox's OCI annotations to its configuration.
///
/// Only `io.katacontainers.config.hypervisor.<name>` is looked at; every other annotation is
/// somebody else's and left alone. Kata's rules (pkg/oci/utils.go, addAnnotations), with its holes
/// closed:
/// - <name> must match one expression of enable_annotations, as a whole (Kata: a part is enough, so
///   "path" lets "ctlpath" through);
/// - machine_type only of the pc family, and hotplug_vfio_on_root_bus only true, even when enabled;
/// - values are typed and ranged as in the file;
/// - path must match valid_hypervisor_paths; kernel, image, initrd and firmware must match
///   [vfio] allowed_guest_files (Kata: not checked); absolute, without "." and "..";
/// - an enabled name that nobody knows is refused (Kata: ignored);
/// - kernel_params are appended to the file's, as Kata does;
/// - the rules of config/validate.hpp are run again over the outcome.
/// A name of Kata's that we have no use for becomes a warning.
///
/// Throws Failure: annotation_refused, or what enforce() throws. `configuration` is then unchanged.
void apply_annotations(Configuration& configuration,
                       const std::map<std::string, std::string>& annotations);

} // namespace kata_vfio::config
