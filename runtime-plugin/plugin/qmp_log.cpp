// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/qmp_log.hpp"

namespace kata_vfio::plugin {

std::shared_ptr<qemu::WireLog> start_qmp_log(const Context& context, const std::string& id,
                                             const std::string& qmp_socket) {
    const auto& configured = context.config.vfio;
    if (!configured.qmp_log)
        return nullptr;
    qemu::WireLogOptions options(qmp_log_path(context.state, id));
    options.max_bytes = static_cast<std::uint64_t>(configured.qmp_log_max_bytes);
    options.files = static_cast<unsigned>(configured.qmp_log_files);
    options.redact = configured.qmp_log_redact;
    // The context outlives its sandboxes and their sessions.
    return qemu::WireLog::start(
        std::move(options), qmp_socket, [&context, id](const Failure& failure) {
            context.log(LogLevel::warning, "sandbox " + id + ": " + failure.what());
        });
}

} // namespace kata_vfio::plugin
