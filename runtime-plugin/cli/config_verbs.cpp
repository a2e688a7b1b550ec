// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/config_verbs.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/edit.hpp"
#include "config/keys.hpp"
#include "config/load.hpp"
#include "config/show.hpp"
#include "config/validate.hpp"
#include "runtime-plugin/cli/check/guest_kernel.hpp"
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>

#include <cstdlib>
#include <optional>

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

void tell_warnings(const std::vector<config::Warning>& warnings, Io& io) {
    for (const auto& warning : warnings)
        io.out << "warning: " << warning.str() << '\n';
}

/// "file:3:28: kernel = "/k" (had another value)"
std::string done_text(const config::Edit& edit, const config::Position& at, const std::string& key,
                      const std::string& literal) {
    const auto set = at.str() + ": " + key + " = " + literal;
    switch (edit.kind) {
    case config::EditKind::none:
        return at.str() + ": " + key + " was " + literal + " already; the file was not written";
    case config::EditKind::uncommented:
        return set + " (was commented out)";
    case config::EditKind::changed:
        return set + " (had another value)";
    case config::EditKind::inserted:
        return set + " (line added)";
    case config::EditKind::appended:
        return set + " (table [hypervisor.qemu] added)";
    }
    return set;
}

/// What `check --guest-kernel` has against a kernel, for a warning; "" when it can serve.
std::string doubts_about(const std::filesystem::path& kernel) {
    const auto lines = guest_kernel_requirements(read_guest_kernel(kernel));
    std::vector<std::string> titles;
    for (const auto& line : lines)
        if (line.required && line.verdict != Verdict::pass)
            titles.push_back(line.title);
    return serves(lines) ? "" : join_words(titles);
}

} // namespace

int config_check(const Arguments& arguments, Io& io) {
    const auto file = file_of(arguments);
    const auto inspected = config::inspect(file);
    const auto& configuration = inspected.configuration;
    auto findings = config::validate(inspected);
    for (auto& finding : config::validate_daemon(configuration))
        findings.push_back(std::move(finding));
    if (arguments.json) {
        const auto shown = config::show_json(configuration);
        json::object object{{"file", file.string()},
                            {"files", shown.at("files")},
                            {"ok", findings.empty()},
                            {"warnings", shown.at("warnings")}};
        add_findings(object, "findings", findings);
        io.out << json::serialize(object) << '\n';
    } else {
        tell_warnings(configuration.warnings, io);
        if (findings.empty())
            io.out << file.string() << ": ok\n";
    }
    io.out.flush();
    return tell(findings, io);
}

namespace {

/// A refused `config enable`: what is doubtful in the file is told all the same, if it is one.
int refuse_enable(const Arguments& arguments, const std::filesystem::path& file,
                  const Failure& refused, Io& io) {
    std::vector<config::Warning> warnings;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored))
        warnings = config::inspect(file).configuration.warnings;
    if (arguments.json)
        io.out << json::serialize(json::object{{"file", file.string()},
                                               {"warnings", config::warnings_json(warnings)},
                                               {"error", plugin::failure_json(refused)}})
               << '\n';
    else
        tell_warnings(warnings, io);
    io.out.flush();
    io.err << failure_text(refused);
    return exit_status(refused.code());
}

} // namespace

int config_enable(const Arguments& arguments, Io& io) {
    const auto file = file_of(arguments);
    std::optional<config::EnableResult> enabled;
    try {
        enabled = config::enable(file);
    } catch (const Failure& refused) {
        return refuse_enable(arguments, file, refused, io);
    }
    const auto& result = *enabled;
    if (arguments.json) {
        json::object object{{"file", file.string()},
                            {"edit", config::name(result.edit.kind)},
                            {"line", result.edit.line},
                            {"warnings", config::warnings_json(result.warnings)}};
        add_findings(object, "left", result.left);
        io.out << json::serialize(object) << '\n';
    } else {
        io.out << done_text(result.edit, result.at, "hotplug_vfio_on_root_bus", "true") << '\n';
        tell_warnings(result.warnings, io);
        if (!result.left.empty())
            io.out << "the configuration still can't be used:\n";
    }
    io.out.flush();
    return tell(result.left, io);
}

int config_set_kernel(const Arguments& arguments, Io& io) {
    const std::filesystem::path kernel(arguments.guest_kernel);
    if (!kernel.is_absolute())
        throw Failure(Errc::invalid_argument,
                      "the kernel " + quoted(arguments.guest_kernel) + " is no absolute path")
            .remedy("Kata takes `kernel` as it stands: name it from / on");
    const auto file = file_of(arguments);
    // Before the file is touched: a kernel that is not there would keep every sandbox from
    // starting.
    const auto doubts = doubts_about(arguments.root / kernel.relative_path());
    const auto result = config::set_kernel(file, kernel.string());
    const bool in_force = result.in_force == kernel.string();
    if (arguments.json) {
        io.out << json::serialize(json::object{{"file", file.string()},
                                               {"edit", config::name(result.edit.kind)},
                                               {"line", result.edit.line},
                                               {"kernel", kernel.string()},
                                               {"in_force", result.in_force}})
               << '\n';
    } else {
        io.out << done_text(result.edit, result.at, "kernel", config::toml_string(kernel.string()))
               << '\n';
    }
    io.out.flush();
    if (!doubts.empty())
        io.err << "kata-vfio: warning: this kernel does not pass for: " << doubts
               << " (kata-vfio check --guest-kernel " << kernel.string() << ")\n";
    if (in_force)
        return 0;
    io.err << failure_text(Failure(Errc::config_invalid, result.in_force_at.str() + ": kernel = " +
                                                             config::toml_string(result.in_force) +
                                                             " has the last word")
                               .remedy("take the line out of that drop-in"));
    return exit_status(Errc::config_invalid);
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
