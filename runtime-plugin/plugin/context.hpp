// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "config/schema.hpp"
#include "qemu/qmp/command.hpp"
#include "runtime-plugin/plugin/claims.hpp"
#include "runtime-plugin/plugin/host_call.hpp"
#include "runtime-plugin/plugin/inbox.hpp"
#include "runtime-plugin/plugin/pending_watch.hpp"
#include "runtime-plugin/plugin/state_dir.hpp"
#include "vfio/host_root.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace kata_vfio::plugin {

enum class LogLevel { error = 0, warning = 1, info = 2, debug = 3 }; ///< KATA_VFIO_LOG_*
enum class EventKind { step = 1, qemu_gone = 2, monitor = 3 };       ///< KATA_VFIO_EVENT_*

/// What the embedding host offers; each may be empty. Called on the plugin's threads.
struct HostServices {
    std::function<void(LogLevel, const std::string& line)> log;
    std::function<void(EventKind, const std::string& sandbox, std::uint64_t ticket,
                       const std::string& text)>
        event;
};

/// The configuration, or why there is none: then `values` are the defaults, what is attached can
/// be given back, and nothing new is let in.
struct Configured {
    config::Configuration values;
    std::optional<Failure> refused;
};

/// What all sandboxes of a plugin share. Everything but `host_pool`'s work runs on `io`.
struct Context {
    Context(vfio::HostRoot host_root, Configured configured, HostServices services);

    vfio::HostRoot root;
    config::Configuration config;
    std::optional<Failure> config_refused;
    HostServices services;
    StateDir state;
    Claims claims;
    qemu::Timeouts qmp_timeouts;
    boost::asio::io_context io;
    /// The way to `io` from every other thread.
    Inbox inbox{io};
    PendingWatch pending{io};
    /// Something has happened that an open sandbox's own devices have to do with: Sandbox::tend()
    /// is started. On `io`.
    std::function<void(const std::string& sandbox)> wake;
    /// For calls that can block in the kernel; each of them has a deadline. More than one thread,
    /// so that one slow unbind does not hold up another sandbox.
    HostPool host_pool{inbox, 4};

    void log(LogLevel level, const std::string& line) const {
        if (services.log)
            services.log(level, line);
    }
    void event(EventKind kind, const std::string& sandbox, std::uint64_t ticket,
               const std::string& text) const {
        if (services.event)
            services.event(kind, sandbox, ticket, text);
    }
};

} // namespace kata_vfio::plugin
