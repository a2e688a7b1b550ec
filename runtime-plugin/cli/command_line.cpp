// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/command_line.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/command_parser.hpp"
#include "runtime-plugin/cli/usage.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace {

constexpr auto overview =
    "Hot-plugs GPUs (GVT-d) and vGPUs (GVT-g) into the QEMU of a sandbox, and "
    "looks after the host around that.";

constexpr auto exit_codes = R"(Exit status:
  0 done, 1 a fault of kata-vfio's own, 2 wrong usage, 3 refused by policy (configuration,
  annotations), 4 the host or a device on it, 5 QEMU, 6 a time limit ran out, 130 cancelled

Examples:
  kata-vfio check
  kata-vfio types
  kata-vfio create i915-GVTg_V4_8@0000:00:02.0
  kata-vfio sandbox open s1 --qmp /run/vc/vm/s1/extra-monitor.sock
  kata-vfio attach s1 i915-GVTg_V4_8
  kata-vfio list

kata-vfio VERB --help has examples of each; docs/cli.md is the guide.)";

} // namespace

std::string not_empty(const std::string& value) {
    return value.empty() ? "must not be empty" : "";
}

Parser::Parser() : app_(overview, "kata-vfio") {
    app_.require_subcommand(1);
    app_.footer(exit_codes);
    app_.set_help_all_flag("--help-all", "The help of every verb");
    app_.set_version_flag("--version", "kata-vfio " KATA_VFIO_VERSION);
    app_.add_option(
            "--config", arguments_.config,
            "Kata's configuration.toml (default: $KATA_CONF_FILE, /etc/kata-containers, "
            "/usr/share/defaults/kata-containers, /opt/kata/share/defaults/kata-containers)")
        ->type_name("FILE");
    app_.add_option("--daemon", arguments_.daemon, "Have kata-vfiod do it: unix:PATH or HOST:PORT")
        ->type_name("ADDRESS")
        ->check(CLI::Validator(not_empty, "", ""));
    app_.add_option("--root", arguments_.root, "Host root")->group("");
    app_.add_flag("--json", arguments_.json, "Results for programs (docs/json.md)");
    app_.add_flag("-v,--verbose", arguments_.verbose,
                  "Each step as it begins, and the plugin's log, on stderr");
    add_host_verbs();
    add_sandbox_verbs();
    add_qmp_verbs();
    add_config_verbs();
    add_xml_verbs();
}

std::variant<Arguments, Information> Parser::parse(std::vector<std::string> args) {
    const bool version = std::find(args.begin(), args.end(), "--version") != args.end();
    std::reverse(args.begin(), args.end()); // CLI11 takes them last first
    try {
        app_.parse(std::move(args));
    } catch (const CLI::CallForHelp&) {
        return Information{app_.help()};
    } catch (const CLI::CallForAllHelp&) {
        return Information{app_.help("", CLI::AppFormatMode::All)};
    } catch (const CLI::Success& asked) {
        return Information{version ? std::string(asked.what()) + "\n" : app_.help()};
    }
    split_annotations();
    split_qmp_words();
    return arguments_;
}

CLI::App* Parser::verb(CLI::App& parent, const std::string& name, Verb which,
                       const std::string& description, const std::string& examples) {
    auto* sub = parent.add_subcommand(name, description);
    sub->fallthrough(); // --json and the like may stand anywhere
    sub->footer("Examples:\n" + examples);
    const auto full = (parent.get_parent() ? parent.get_name() + " " : std::string()) + name;
    // Called before the verb's own options are looked at, so an error in them can name it.
    sub->preparse_callback([this, which, full](std::size_t) {
        arguments_.verb = which;
        deepest_ = full;
    });
    return sub;
}

CLI::App* Parser::family(const std::string& name, const std::string& description,
                         const std::string& examples) {
    auto* sub = app_.add_subcommand(name, description);
    sub->fallthrough();
    sub->require_subcommand(1);
    sub->footer("Examples:\n" + examples);
    sub->preparse_callback([this, name](std::size_t) { deepest_ = name; });
    return sub;
}

void Parser::split_qmp_words() {
    if (arguments_.verb != Verb::qmp || !arguments_.socket.empty() || arguments_.words.empty())
        return;
    arguments_.sandbox = arguments_.words.front();
    arguments_.words.erase(arguments_.words.begin());
}

void Parser::split_annotations() {
    for (const auto& raw : raw_annotations_) {
        const auto at = raw.find('=');
        if (at == std::string::npos || at == 0)
            throw Failure(Errc::invalid_argument,
                          "--annotation: " + quoted(raw) + " is not KEY=VALUE");
        arguments_.annotations.emplace_back(raw.substr(0, at), raw.substr(at + 1));
    }
}

namespace {

/// The verb that stands where --config's FILE should, with no verb left behind it; "" for none.
std::string verb_taken_as_file(const CLI::App& app, const std::vector<std::string>& args) {
    if (!app.get_subcommands().empty())
        return {};
    const auto option = std::find(args.begin(), args.end(), "--config");
    if (option == args.end() || option + 1 == args.end())
        return {};
    const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
    const auto is_it = [&](const CLI::App* verb) { return verb->get_name() == option[1]; };
    return std::any_of(verbs.begin(), verbs.end(), is_it) ? option[1] : std::string();
}

} // namespace

CommandHelp command_help() {
    return command_help(Parser().app());
}

std::variant<Arguments, Information> parse(const std::vector<std::string>& args) {
    Parser parser;
    try {
        return parser.parse(args);
    } catch (const CLI::ParseError& error) {
        if (const auto unknown = unknown_word(parser.app(), args))
            throw Failure(*unknown);
        const auto& deepest = parser.deepest();
        if (const auto taken = verb_taken_as_file(parser.app(), args); !taken.empty())
            throw Failure(Errc::invalid_argument,
                          "no verb is left: --config took " + quoted(taken) + " as its FILE")
                .during("usage")
                .remedy("name the file behind --config: kata-vfio --config FILE " + taken);
        throw Failure(Errc::invalid_argument, error.what())
            .during(deepest.empty() ? "usage" : deepest)
            .remedy("see kata-vfio " + (deepest.empty() ? "" : deepest + " ") + "--help");
    }
}

} // namespace kata_vfio::cli
