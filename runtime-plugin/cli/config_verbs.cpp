// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/config_verbs.hpp"

#include "config/edit.hpp"
#include "config/load.hpp"
#include "config/show.hpp"
#include "config/validate.hpp"
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>

#include <cstdlib>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

std::filesystem::path file_of(const Arguments& arguments) {
    if (!arguments.subject.empty())
        return arguments.subject;
    if (!arguments.config.empty())
        return arguments.config;
    return config::find(arguments.root, std::getenv("KATA_CONF_FILE"));
}

/// Prints the findings where failures go, and returns the exit status they mean.
int tell(const std::vector<config::Finding>& findings, Io& io) {
    for (const auto& finding : findings)
        io.err << failure_text(finding.failure());
    return findings.empty() ? 0 : exit_status(findings.front().code);
}

void add_findings(json::object& object, const char* key,
                  const std::vector<config::Finding>& findings) {
    object[key] = config::findings_json(findings);
    if (!findings.empty())
        object["error"] = plugin::failure_json(findings.front().failure());
}

std::string done_text(const config::EnableResult& result) {
    const auto at = result.at.str();
    switch (result.edit.kind) {
    case config::EditKind::none:
        return at + ": hotplug_vfio_on_root_bus was true already; the file was not written";
    case config::EditKind::uncommented:
        return at + ": hotplug_vfio_on_root_bus = true (was commented out)";
    case config::EditKind::changed:
        return at + ": hotplug_vfio_on_root_bus = true (had another value)";
    case config::EditKind::inserted:
        return at + ": hotplug_vfio_on_root_bus = true (line added)";
    case config::EditKind::appended:
        return at + ": hotplug_vfio_on_root_bus = true (table [hypervisor.qemu] added)";
    }
    return at;
}

} // namespace

int config_check(const Arguments& arguments, Io& io) {
    const auto file = file_of(arguments);
    const auto configuration = config::load(file);
    const auto findings = config::validate(configuration);
    if (arguments.json) {
        const auto shown = config::show_json(configuration);
        json::object object{{"file", file.string()},
                            {"files", shown.at("files")},
                            {"ok", findings.empty()},
                            {"warnings", shown.at("warnings")}};
        add_findings(object, "findings", findings);
        io.out << json::serialize(object) << '\n';
    } else {
        for (const auto& warning : configuration.warnings)
            io.out << "warning: " << warning.str() << '\n';
        if (findings.empty())
            io.out << file.string() << ": ok\n";
    }
    io.out.flush();
    return tell(findings, io);
}

int config_enable(const Arguments& arguments, Io& io) {
    const auto file = file_of(arguments);
    const auto result = config::enable(file);
    if (arguments.json) {
        json::object object{{"file", file.string()},
                            {"edit", config::name(result.edit.kind)},
                            {"line", result.edit.line}};
        add_findings(object, "left", result.left);
        io.out << json::serialize(object) << '\n';
    } else {
        io.out << done_text(result) << '\n';
        if (!result.left.empty())
            io.out << "the configuration still can't be used:\n";
    }
    io.out.flush();
    return tell(result.left, io);
}

int config_show(const Arguments& arguments, Io& io) {
    const auto configuration = config::load(file_of(arguments));
    if (arguments.json)
        io.out << json::serialize(config::show_json(configuration)) << '\n';
    else
        io.out << config::show_toml(configuration);
    return 0;
}

} // namespace kata_vfio::cli
