// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace kata_vfio::shim {

/// The words containerd starts the shim with (docs/runtime.md): Go's flags, "-name value" or
/// "-name=value", one or two hyphens, then the action.
struct Arguments {
    enum class Action { start, remove, version, help, man } action = Action::help;
    std::string containerd_namespace; ///< -namespace
    std::string address;              ///< -address: containerd's gRPC socket
    std::string publish_binary;       ///< -publish-binary; not used, events go over ttrpc
    std::string id;                   ///< -id
    std::string bundle;               ///< -bundle; "": the current directory
    bool debug = false;
};

/// `words` without the program's name. Throws ttrpc::Error(invalid_argument).
Arguments parse_arguments(const std::vector<std::string>& words);

/// The `config_path` of what containerd writes to stdin of `start`: an Any with
/// runtimeoptions.v1.Options, or since 2.3 BootstrapParams with that Any among its extensions. ""
/// for anything else.
std::string config_path_of(const std::string& options);

} // namespace kata_vfio::shim
