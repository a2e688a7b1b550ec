// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/help/help_verbs.hpp"

#include "mdev/mdev_device.hpp"
#include "mdev/mdev_type.hpp"
#include "runtime-plugin/cli/command_line.hpp"
#include "runtime-plugin/cli/gpus.hpp"
#include "runtime-plugin/cli/help/completion.hpp"
#include "runtime-plugin/cli/help/man_page.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/cli/vgpus.hpp"

#include <boost/json.hpp>

namespace kata_vfio::cli {
namespace {

std::vector<Candidate> functions(const Host& host) {
    OwnerView owners(host);
    const auto listed = functions_json(list_function_reports(host, false, owners));
    std::vector<Candidate> found;
    for (const auto& each : listed.at("functions").as_array())
        found.push_back({string_at(each.as_object(), "address"), "PCI function"});
    return found;
}

std::vector<Candidate> types(const Host& host) {
    std::vector<Candidate> found;
    for (const auto& parent : mdev::list_parents(host.root))
        for (const auto& type : parent.types)
            found.push_back({type.id, std::to_string(type.available_instances) + " left"});
    return found;
}

std::vector<Candidate> parents(const Host& host) {
    std::vector<Candidate> found;
    for (const auto& parent : mdev::list_parents(host.root))
        found.push_back({parent.name, "makes vGPUs"});
    return found;
}

std::vector<Candidate> vgpus(const Host& host) {
    OwnerView owners(host);
    const auto listed = vgpus_json(list_vgpu_reports(host, owners));
    std::vector<Candidate> found;
    for (const auto& each : listed.at("vgpus").as_array())
        found.push_back({string_at(each.as_object(), "uuid"), string_at(each.as_object(), "type")});
    return found;
}

std::vector<Candidate> known(const Arguments& arguments, const std::string& kind) {
    if (kind == "ADDRESS")
        return {{"unix:/run/kata-vfiod/kata-vfiod.sock", "kata-vfiod on this host"}};
    const auto host = open_host(arguments);
    if (kind == "ID") {
        std::vector<Candidate> found;
        for (auto& id : host.state.sandbox_ids())
            found.push_back({std::move(id), "sandbox"});
        return found;
    }
    if (kind == "TYPE")
        return types(host);
    if (kind == "PARENT")
        return parents(host);
    if (kind == "BDF")
        return functions(host);
    if (kind == "UUID")
        return vgpus(host);
    std::vector<Candidate> found;
    if (kind == "DEVICE")
        for (auto* each : {&functions, &types, &vgpus})
            for (auto& candidate : (*each)(host))
                found.push_back(std::move(candidate));
    return found;
}

/// The options that say where the host is, if they are among the words; the rest is as yet
/// unfinished, and is not looked at.
Arguments host_of(const std::vector<std::string>& words) {
    Arguments arguments;
    for (std::size_t i = 0; i + 2 < words.size(); ++i) {
        if (words[i] == "--config")
            arguments.config = words[i + 1];
        if (words[i] == "--root")
            arguments.root = words[i + 1];
    }
    return arguments;
}

} // namespace

std::optional<int> help_verb(const std::vector<std::string>& args, Io& io) {
    if (args == std::vector<std::string>{"--man"}) {
        io.out << man_page(command_help(), 1, "kata-vfio " KATA_VFIO_VERSION, "kata-vfiod(8)");
        return 0;
    }
    if (args.size() < 2 || args[0] != "__complete" || args[1] != "--")
        return std::nullopt;
    const std::vector<std::string> words(args.begin() + 2, args.end());
    // Somebody is typing: what can't be read (the state, for other users than root) offers nothing.
    const auto offered = [&](const std::string& kind) -> std::vector<Candidate> {
        try {
            return known(host_of(words), kind);
        } catch (const std::exception&) {
            return {};
        }
    };
    io.out << completion_lines(complete(command_help(), words, offered));
    return 0;
}

} // namespace kata_vfio::cli
