// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/run.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/bind.hpp"
#include "runtime-plugin/cli/check/check.hpp"
#include "runtime-plugin/cli/command_line.hpp"
#include "runtime-plugin/cli/config_verbs.hpp"
#include "runtime-plugin/cli/events.hpp"
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/cli/gpus.hpp"
#include "runtime-plugin/cli/qmp.hpp"
#include "runtime-plugin/cli/reconcile_text.hpp"
#include "runtime-plugin/cli/sandbox_text.hpp"
#include "runtime-plugin/cli/sandbox_verbs.hpp"
#include "runtime-plugin/cli/signals.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/trace/trace.hpp"
#include "runtime-plugin/cli/types.hpp"
#include "runtime-plugin/cli/vgpu_make.hpp"
#include "runtime-plugin/cli/vgpus.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// A result, for whoever asked: a program or a person.
int print(const Arguments& arguments, Io& io, const json::object& object, const std::string& text) {
    io.out << (arguments.json ? json::serialize(object) + "\n" : text);
    return 0;
}

void tell_owner_note(const OwnerView& owners, Io& io) {
    if (!owners.note().empty())
        io.err << "kata-vfio: " << owners.note() << '\n';
}

int gpus(const Arguments& arguments, Io& io) {
    const auto host = open_host(arguments);
    OwnerView owners(host);
    const auto reports = list_function_reports(host, arguments.all, owners);
    tell_owner_note(owners, io);
    if (reports.empty() && !arguments.json)
        io.err << "kata-vfio: no display function on this host's PCI bus (--all shows the rest)\n";
    return print(arguments, io, functions_json(reports), functions_table(reports));
}

int types(const Arguments& arguments, Io& io) {
    const vfio::HostRoot root(arguments.root);
    const auto parents = arguments.subject.empty()
                             ? mdev::list_parents(root)
                             : std::vector{mdev::read_parent(root, arguments.subject)};
    if (parents.empty() && !arguments.json)
        io.err << "kata-vfio: no device on this host makes vGPUs (kata-vfio check --gvt-g says "
                  "what is missing)\n";
    return print(arguments, io, types_json(parents), types_table(parents));
}

int vgpus(const Arguments& arguments, Io& io) {
    const auto host = open_host(arguments);
    OwnerView owners(host);
    const auto reports = list_vgpu_reports(host, owners);
    tell_owner_note(owners, io);
    return print(arguments, io, vgpus_json(reports), vgpus_table(reports));
}

int create(const Arguments& arguments, Io& io) {
    const auto host = open_host(arguments);
    HeldSignals signals;
    const VgpuReport made{make_vgpu(host, arguments.subject, arguments.uuid,
                                    [&] { return signals.take().has_value(); }),
                          std::nullopt};
    const auto& device = made.device;
    return print(arguments, io, vgpu_json(made),
                 properties({{"uuid", device.uuid.text()},
                             {"type", device.type},
                             {"parent", device.parent},
                             {"group", device.iommu_group ? std::to_string(*device.iommu_group)
                                                          : std::string()},
                             {"node", device.node ? device.node->string() : std::string()}}));
}

int remove(const Arguments& arguments, Io& io) {
    const HeldSignals signals; // a removal that has begun is finished
    const auto gone = remove_vgpu(open_host(arguments), arguments.subject);
    const json::object object{{"uuid", gone.uuid.text()},
                              {"type", gone.type},
                              {"parent", gone.parent},
                              {"removed", true}};
    return print(arguments, io, object,
                 "removed vGPU " + gone.uuid.text() + " from " + gone.parent + "\n");
}

int bind(const Arguments& arguments, Io& io) {
    HeldSignals signals;
    const auto report = bind_function(open_host(arguments), arguments.subject,
                                      [&] { return signals.take().has_value(); });
    return print(arguments, io, bind_json(report), bind_text(report));
}

int restore(const Arguments& arguments, Io& io) {
    const HeldSignals signals; // one that has begun is finished
    const auto report = restore_function(open_host(arguments), arguments.subject);
    return print(arguments, io, restore_json(report), restore_text(report));
}

int dispatch(const Arguments& arguments, Io& io) {
    switch (arguments.verb) {
    case Verb::check:
        return check(arguments, io);
    case Verb::gpus:
        return gpus(arguments, io);
    case Verb::types:
        return types(arguments, io);
    case Verb::vgpus:
        return vgpus(arguments, io);
    case Verb::create:
        return create(arguments, io);
    case Verb::remove:
        return remove(arguments, io);
    case Verb::bind:
        return bind(arguments, io);
    case Verb::restore:
        return restore(arguments, io);
    case Verb::sandbox_open: {
        const auto object = open_sandbox(arguments, io);
        return print(arguments, io, object, open_text(object));
    }
    case Verb::sandbox_release: {
        const auto object = release_sandbox(arguments, io);
        return print(arguments, io, object, release_text(object));
    }
    case Verb::attach: {
        const auto object = attach(arguments, io);
        return print(arguments, io, object,
                     arguments.dry_run ? dry_run_text(object) : attach_text(object));
    }
    case Verb::detach: {
        const auto object = detach(arguments, io);
        return print(arguments, io, object, detach_text(object));
    }
    case Verb::list: {
        const auto object = list(arguments, io);
        return print(arguments, io, object, list_text(object));
    }
    case Verb::reconcile: {
        const auto object = reconcile(arguments, io);
        print(arguments, io, object, reconcile_text(object));
        return reconcile_status(object);
    }
    case Verb::trace:
        return trace(arguments, io);
    case Verb::qmp:
        return qmp(arguments, io);
    case Verb::events:
        return events(arguments, io);
    case Verb::config_check:
        return config_check(arguments, io);
    case Verb::config_enable:
        return config_enable(arguments, io);
    case Verb::config_set_kernel:
        return config_set_kernel(arguments, io);
    case Verb::config_show:
        return config_show(arguments, io);
    }
    throw Failure(Errc::internal, "a verb without a body");
}

int parse_and_dispatch(const std::vector<std::string>& args, Io& io) {
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
