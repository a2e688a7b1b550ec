// SPDX-License-Identifier: Apache-2.0
#ifndef __clang__ // see config/pattern.cpp
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "runtime-plugin/cli/events.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/qmp_client.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"

#include <boost/json/serialize.hpp>

#include <regex>

namespace kata_vfio::cli {
namespace {

std::regex pattern(const std::string& text) {
    try {
        return std::regex(text.empty() ? ".*" : text);
    } catch (const std::regex_error& error) {
        throw Failure(Errc::invalid_argument,
                      "--match: " + quoted(text) + " is no regular expression")
            .said(error.what())
            .remedy("it is looked for in the event's name, as ECMAScript has it: ^DEVICE_");
    }
}

} // namespace

int events(const Arguments& arguments, Io& io) {
    const auto match = pattern(arguments.match);
    const auto wanted = arguments.count > 0 ? arguments.count : arguments.follow ? 0 : 1;
    QmpClient::Deadline deadline;
    if (arguments.timeout)
        deadline = std::chrono::steady_clock::now() + std::chrono::seconds(*arguments.timeout);
    QmpClient client(arguments);
    std::int64_t seen = 0;
    const auto full = [&] { return wanted > 0 && seen >= wanted; };
    client.on_event([&](const qemu::Event& event) {
        if (full() || !std::regex_search(event.name, match))
            return;
        ++seen;
        io.out << (arguments.json ? boost::json::serialize(qemu::event_json(event)) + "\n"
                                  : event_text(event))
               << std::flush;
    });
    // A proxy whose QEMU is away would be silent for ever: this tells.
    (void)client.execute(qemu::Command("query-version"));
    const auto ended =
        client.run_until([&] { return full() || client.lost() || !io.out; }, deadline);
    client.on_event({});
    if (ended == QmpClient::Ended::signal)
        return exit_status(Errc::cancelled);
    if (full() || !io.out)
        return 0;
    const auto of_wanted = wanted == 0 ? std::string()
                                       : "; " + std::to_string(seen) + " of " +
                                             std::to_string(wanted) + " events had come";
    if (const auto lost = client.lost()) {
        if (wanted == 0 && lost->code() == Errc::qemu_gone) { // it was followed to its end
            io.err << "kata-vfio: " << lost->what() << '\n';
            return 0;
        }
        throw Failure(*lost).during("events" + of_wanted);
    }
    if (wanted == 0)
        return 0;
    throw Failure(Errc::qmp_timeout, "within " + std::to_string(*arguments.timeout) + " s " +
                                         std::to_string(seen) + " of " + std::to_string(wanted) +
                                         " events came");
}

} // namespace kata_vfio::cli
