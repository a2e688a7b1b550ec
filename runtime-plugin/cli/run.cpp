// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/run.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/bind.hpp"
#include "runtime-plugin/cli/check/check.hpp"
#include "runtime-plugin/cli/command_line.hpp"
#include "runtime-plugin/cli/config_verbs.hpp"
#include "runtime-plugin/cli/daemon_verbs.hpp"
#include "runtime-plugin/cli/events.hpp"
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/cli/gpus.hpp"
#include "runtime-plugin/cli/help/help_verbs.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/named_file.hpp"
#include "runtime-plugin/cli/qmp.hpp"
#include "runtime-plugin/cli/reconcile_text.hpp"
#include "runtime-plugin/cli/sandbox_text.hpp"
#include "runtime-plugin/cli/sandbox_verbs.hpp"
#include "runtime-plugin/cli/signals.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/top.hpp"
#include "runtime-plugin/cli/topology/topology.hpp"
#include "runtime-plugin/cli/trace/trace.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/cli/vgpu_make.hpp"
#include "runtime-plugin/cli/vgpus.hpp"
#include "runtime-plugin/cli/xml/xml_verbs.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// A result, for whoever asked: a program or a person.
void print(const Arguments& arguments, Io& io, const json::object& object,
           const std::string& text) {
    io.out << (arguments.json ? json::serialize(object) + "\n" : text);
}

void tell_owner_note(const OwnerView& owners, Io& io) {
    if (!owners.note().empty())
        io.err << "kata-vfio: " << owners.note() << '\n';
}

json::object gpus(const Arguments& arguments, Io& io) {
    const auto host = open_host(arguments);
    OwnerView owners(host);
    const auto reports = list_function_reports(host, arguments.all, owners);
    tell_owner_note(owners, io);
    return functions_json(reports);
}

json::object types(const Arguments& arguments) {
    const vfio::HostRoot root(arguments.root);
    return types_json(arguments.subject.empty()
                          ? mdev::list_parents(root)
                          : std::vector{mdev::read_parent(root, arguments.subject)});
}

json::object vgpus(const Arguments& arguments, Io& io) {
    const auto host = open_host(arguments);
    OwnerView owners(host);
    const auto reports = list_vgpu_reports(host, owners);
    tell_owner_note(owners, io);
    return vgpus_json(reports);
}

json::object create(const Arguments& arguments) {
    const auto host = open_host(arguments);
    HeldSignals signals;
    return vgpu_json({make_vgpu(host, arguments.subject, arguments.uuid,
                                [&] { return signals.take().has_value(); }),
                      std::nullopt});
}

json::object remove(const Arguments& arguments) {
    const HeldSignals signals; // a removal that has begun is finished
    const auto gone = remove_vgpu(open_host(arguments), arguments.subject);
    return {{"uuid", gone.uuid.text()},
            {"type", gone.type},
            {"parent", gone.parent},
            {"removed", true}};
}

json::object bind(const Arguments& arguments) {
    HeldSignals signals;
    return bind_json(bind_function(open_host(arguments), arguments.subject,
                                   [&] { return signals.take().has_value(); }));
}

json::object restore(const Arguments& arguments) {
    const HeldSignals signals; // one that has begun is finished
    return restore_json(restore_function(open_host(arguments), arguments.subject));
}

/// What the verb gives, as --json prints it.
json::object result_of(const Arguments& arguments, Io& io) {
    if (arguments.verb == Verb::topology) // made of other verbs, wherever those are answered
        return topology(arguments, io, result_of);
    if (!arguments.daemon.empty())
        return ask_daemon(arguments, io);
    switch (arguments.verb) {
    case Verb::gpus:
        return gpus(arguments, io);
    case Verb::types:
        return types(arguments);
    case Verb::vgpus:
        return vgpus(arguments, io);
    case Verb::create:
        return create(arguments);
    case Verb::remove:
        return remove(arguments);
    case Verb::bind:
        return bind(arguments);
    case Verb::restore:
        return restore(arguments);
    case Verb::sandbox_open:
        return open_sandbox(arguments, io);
    case Verb::sandbox_release:
        return release_sandbox(arguments, io);
    case Verb::attach:
        return attach(arguments, io);
    case Verb::detach:
        return detach(arguments, io);
    case Verb::list:
        return list(arguments, io);
    case Verb::reconcile:
        return reconcile(arguments, io);
    default:
        throw Failure(Errc::internal, "a verb without a body");
    }
}

std::string text_of(const Arguments& arguments, const json::object& object) {
    switch (arguments.verb) {
    case Verb::gpus:
        return functions_table(object);
    case Verb::types:
        return types_table(object);
    case Verb::vgpus:
        return vgpus_table(object);
    case Verb::topology:
        return topology_text(object);
    case Verb::create:
        return vgpu_text(object);
    case Verb::remove:
        return removed_text(object);
    case Verb::bind:
        return bind_text(object);
    case Verb::restore:
        return restore_text(object);
    case Verb::sandbox_open:
        return open_text(object);
    case Verb::sandbox_release:
        return release_text(object);
    case Verb::attach:
        return arguments.dry_run ? dry_run_text(object) : attach_text(object);
    case Verb::detach:
        return detach_text(object);
    case Verb::list:
        return list_text(object);
    case Verb::reconcile:
        return reconcile_text(object);
    default:
        throw Failure(Errc::internal, "a verb without a text");
    }
}

/// What an empty listing means, and that a sandbox was open already, for people.
void tell_notes(const Arguments& arguments, const json::object& object, Io& io) {
    if (arguments.json)
        return;
    if (arguments.verb == Verb::gpus && object.at("functions").as_array().empty())
        io.err << "kata-vfio: no display function on this host's PCI bus (--all shows the rest)\n";
    if (arguments.verb == Verb::sandbox_open && !open_note(object).empty())
        io.err << "kata-vfio: " << open_note(object) << '\n';
    if (arguments.verb == Verb::types && object.at("types").as_array().empty())
        io.err << "kata-vfio: no device on this host makes vGPUs (kata-vfio check --gvt-g says "
                  "what is missing)\n";
}

int draw_topology(const Arguments& arguments, const json::object& object, Io& io) {
    const auto svg = topology_svg(object);
    write_named_file("--svg", arguments.svg, svg, 0644);
    print(arguments, io, {{"svg", arguments.svg}, {"bytes", svg.size()}},
          "wrote " + printable(arguments.svg) + "\n");
    return 0;
}

/// What these do without a configuration they do all the same, but by default values: whoever named
/// a file that can't be used is to know. (Detach is told by the plugin.)
void tell_unusable_configuration(const Arguments& arguments, Io& io) {
    const auto verb = arguments.verb;
    if (!arguments.daemon.empty() ||
        (verb != Verb::list && verb != Verb::reconcile && verb != Verb::sandbox_release &&
         (verb != Verb::xml_export || arguments.nodedev)))
        return;
    if (const auto refused = unusable_configuration(arguments))
        io.err << "kata-vfio: the configuration can't be used, so only the default state directory "
                  "is looked at: "
               << printable(refused->what()) << '\n';
}

int dispatch(const Arguments& arguments, Io& io) {
    tell_unusable_configuration(arguments, io);
    switch (arguments.verb) { // these go to the daemon themselves
    case Verb::top:
        return top(arguments, io);
    case Verb::trace:
        return trace(arguments, io);
    case Verb::qmp:
        return qmp(arguments, io);
    case Verb::events:
        return events(arguments, io);
    default:
        break;
    }
    if (arguments.daemon.empty()) {
        switch (arguments.verb) {
        case Verb::check:
            return check(arguments, io);
        case Verb::config_check:
            return config_check(arguments, io);
        case Verb::config_enable:
            return config_enable(arguments, io);
        case Verb::config_set_kernel:
            return config_set_kernel(arguments, io);
        case Verb::config_show:
            return config_show(arguments, io);
        case Verb::xml_export:
            return xml_export(arguments, io);
        case Verb::xml_import:
            return xml_import(arguments, io);
        case Verb::xml_check:
            return xml_check(arguments, io);
        default:
            break;
        }
    }
    const auto object = result_of(arguments, io);
    if (arguments.verb == Verb::check)
        return check_result(arguments, object, io);
    if (!arguments.svg.empty())
        return draw_topology(arguments, object, io);
    tell_notes(arguments, object, io);
    print(arguments, io, object, text_of(arguments, object));
    return arguments.verb == Verb::reconcile ? reconcile_status(object) : 0;
}

int parse_and_dispatch(const std::vector<std::string>& args, Io& io) {
    if (const auto status = help_verb(args, io))
        return *status;
    const auto parsed = parse(args);
    if (const auto* information = std::get_if<Information>(&parsed)) {
        io.out << information->text;
        return 0;
    }
    return dispatch(std::get<Arguments>(parsed), io);
}

int report(const Failure& failure, bool as_json, Io& io) {
    io.err << failure_text(failure) << std::flush;
    if (as_json)
        io.out << json::serialize(json::object{{"error", plugin::failure_json(failure)}}) << '\n';
    return exit_status(failure.code());
}

} // namespace

int run(const std::vector<std::string>& args, Io& io) noexcept {
    // Looked for by hand: a command line that can't be parsed is answered in JSON as well.
    const bool as_json = std::find(args.begin(), args.end(), "--json") != args.end();
    int status = 0;
    try {
        status = parse_and_dispatch(args, io);
    } catch (...) {
        status = report(plugin::failure_from(std::current_exception()), as_json, io);
    }
    io.out.flush();
    if (!io.out && status == 0) {
        io.err << "kata-vfio: what was asked is done, but the result could not be written to "
                  "standard output\n";
        return exit_status(Errc::internal);
    }
    return status;
}

} // namespace kata_vfio::cli
