// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/options.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/help/man_page.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>

namespace kata_vfio::daemon {

std::variant<Options, std::string> parse(const std::vector<std::string>& args) {
    Options options;
    CLI::App app("Serves the kata-vfio plugin over gRPC (docs/service.md).", "kata-vfiod");
    app.set_version_flag("--version", "kata-vfiod " KATA_VFIO_VERSION);
    app.add_option("--config", options.config,
                   "Kata's configuration.toml (default: $KATA_CONF_FILE, /etc/kata-containers, "
                   "/usr/share/defaults/kata-containers); [vfio.daemon] has this program's keys")
        ->type_name("FILE");
    app.add_option("--socket", options.socket, "The unix socket, instead of the configured one")
        ->type_name("PATH");
    app.add_option("--metrics", options.metrics,
                   "unix:PATH or HOST:PORT for Prometheus, instead of the configured one")
        ->type_name("ADDRESS");
    app.add_option("--root", options.root, "Host root")->group("");
    app.add_flag("--debug", options.debug, "Debug messages too");
    app.footer(
        "SIGTERM: calls under way may finish ([vfio.daemon] drain), what is attached stays.\n"
        "SIGHUP: the configuration is read again; a bad one changes nothing.\n"
        "Exit status: 0 ended by a signal, 2 wrong usage, 3 the configuration, 4 the host.");
    if (args == std::vector<std::string>{"--man"}) // for the packages, in no --help
        return cli::man_page(cli::command_help(app), 8, "kata-vfiod " KATA_VFIO_VERSION,
                             "kata-vfio(1)");
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return app.help();
    } catch (const CLI::Success& asked) { // --version
        return std::string(asked.what()) + "\n";
    } catch (const CLI::ParseError& error) {
        throw Failure(Errc::invalid_argument, error.what()).remedy("see kata-vfiod --help");
    }
    return options;
}

} // namespace kata_vfio::daemon
