// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/task/usage_metrics.hpp"

namespace kata_vfio::shim {

io::containerd::cgroups::v2::Metrics metrics_of(const agent::Usage& used) {
    io::containerd::cgroups::v2::Metrics metrics;
    metrics.mutable_pids()->set_current(used.processes);
    metrics.mutable_pids()->set_limit(used.process_limit);
    metrics.mutable_cpu()->set_usage_usec(used.cpu_usec);
    metrics.mutable_cpu()->set_user_usec(used.user_usec);
    metrics.mutable_cpu()->set_system_usec(used.system_usec);
    auto& memory = *metrics.mutable_memory();
    memory.set_usage(used.memory);
    // Of none it is the largest number: containerd takes what is used from the limit.
    memory.set_usage_limit(used.memory_limit);
    memory.set_anon(used.anonymous);
    memory.set_file(used.file);
    // What containerd takes from the usage for CRI's working set.
    memory.set_inactive_file(used.inactive_file);
    memory.set_pgfault(used.faults);
    memory.set_pgmajfault(used.major_faults);
    return metrics;
}

} // namespace kata_vfio::shim
