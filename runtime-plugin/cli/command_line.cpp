// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/command_line.hpp"

#include "config/address.hpp"
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/command_parser.hpp"
#include "runtime-plugin/cli/usage.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>

namespace kata_vfio::cli {
namespace {

std::string not_empty(std::string& value) {
    return value.empty() ? "must not be empty" : "";
}

/// Nothing is looked up: gRPC would ask a name server for "foo".
std::string daemon_address(std::string& value) {
    constexpr std::string_view unix_form = "unix:";
    const auto path = std::string_view(value).starts_with(unix_form)
                          ? std::string_view(value).substr(unix_form.size())
                          : std::string_view();
    if (value.empty() || !path.empty() || config::is_host_and_port(value))
        return value.empty() ? "must not be empty" : "";
    return quoted(value, 120) + " is no daemon's address: unix:PATH or HOST:PORT";
}

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

CLI::Validator whole_number(std::int64_t least, std::int64_t most, const std::string& what) {
    const auto judge = [least, most, what](const std::string& value) -> std::string {
        if (value.empty())
            return "must not be empty";
        std::int64_t number = 0;
        const auto* end = value.data() + value.size();
        const auto [stop, error] = std::from_chars(value.data(), end, number);
        // What begins with a 0 the parser behind this would take for octal.
        if (error == std::errc() && stop == end && number >= least && number <= most &&
            (value[0] != '0' || value.size() == 1))
            return {};
        return quoted(value, 40) + " is no " + what + " from " + std::to_string(least) + " to " +
               std::to_string(most);
    };
    return {judge, "", ""};
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
        ->check(CLI::Validator(daemon_address, "", ""));
    app_.add_option("--root", arguments_.root, "Host root")->group("");
    app_.add_flag("--json", arguments_.json, "Results for programs (docs/json.md)");
    app_.add_flag("-v,--verbose", arguments_.verbose,
                  "Each step as it begins, and the plugin's log, on stderr");
    add_host_verbs();
    add_sandbox_verbs();
    add_qmp_verbs();
    add_config_verbs();
    add_xml_verbs();
    common_rules(app_);
}

/// A value that is empty is mostly a shell's variable that was never set; and --once=no would be
/// taken for --once.
void Parser::common_rules(CLI::App& app) {
    for (auto* option : app.get_options([](const CLI::Option*) { return true; })) {
        if (is_flag(*option))
            option->disable_flag_override();
        else
            option->check(CLI::Validator(not_empty, "", ""));
    }
    for (auto* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        common_rules(*verb);
}

std::variant<Arguments, Information> Parser::parse(std::vector<std::string> args) {
    const bool version = std::find(args.begin(), args.end(), "--version") != args.end();
    const auto given = args;
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
    if (const auto missing = missing_value(app_, given))
        throw Failure(*missing);
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
    constexpr std::string_view joined = "--config=";
    if (!app.get_subcommands().empty())
        return {};
    std::string file;
    for (std::size_t i = 0; i < args.size(); ++i)
        if (args[i].starts_with(joined))
            file = args[i].substr(joined.size());
        else if (args[i] == "--config" && i + 1 < args.size())
            file = args[i + 1];
    const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
    const auto is_it = [&](const CLI::App* verb) { return verb->get_name() == file; };
    return std::any_of(verbs.begin(), verbs.end(), is_it) ? file : std::string();
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
        throw misuse(parser.app(), deepest, error);
    }
}

} // namespace kata_vfio::cli
