// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kata_vfio::cli {

enum class Verb {
    check,
    gpus,
    types,
    vgpus,
    topology,
    create,
    remove,
    bind,
    restore,
    sandbox_open,
    sandbox_release,
    attach,
    detach,
    list,
    top,
    reconcile,
    trace,
    qmp,
    events,
    config_check,
    config_enable,
    config_set_kernel,
    config_show,
    xml_export,
    xml_import,
    xml_check,
};

/// The command line, taken apart. Strings are as typed: the verb that uses one checks it.
struct Arguments {
    Verb verb = Verb::check;

    std::string config; ///< --config; empty: Kata's search order
    std::string root = "/";
    std::string daemon; ///< --daemon: where kata-vfiod is; empty: the plugin in this process
    bool json = false;
    bool verbose = false;

    std::string subject; ///< TYPE[@PARENT], PARENT, UUID, BDF or FILE
    std::string sandbox; ///< ID
    std::string device;
    std::string uuid;
    std::string qmp;
    std::vector<std::pair<std::string, std::string>> annotations;
    bool all = false;
    bool dry_run = false;
    bool keep = false;
    std::int64_t owner = 0; ///< sandbox open: a pid; 0: not given
    bool gvt_d = false, gvt_g = false;
    std::string guest_kernel; ///< check: a kernel image or .config; config set-kernel: the image
    std::string html;         ///< trace: the page to write
    std::string svg;          ///< topology: the picture to write
    bool nodedev = false;     ///< xml export: node devices instead of the domain
    std::int64_t slow_ms = 100;

    bool once = false;         ///< top
    std::int64_t interval = 2; ///< top: seconds

    // qmp, events
    std::string socket;             ///< --socket
    std::vector<std::string> words; ///< the QMP command and its arguments
    bool raw = false;
    bool follow = false;
    std::string match;
    std::int64_t count = 0;              ///< 0: not given
    std::optional<std::int64_t> timeout; ///< seconds
};

} // namespace kata_vfio::cli
