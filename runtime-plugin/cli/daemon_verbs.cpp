// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/daemon_verbs.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/daemon_client.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/sandbox_text.hpp"

#include <boost/json.hpp>

#include <filesystem>
#include <optional>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// A listing, whose note is for people.
json::object listing(DaemonClient& client, const char* what, const char* method,
                     json::object request, Io& io) {
    auto listed = client.call(what, method, std::move(request), false);
    if (const auto note = string_at(listed, "note"); !note.empty())
        io.err << "kata-vfio: " << note << '\n';
    listed.erase("note");
    return listed;
}

json::object list(DaemonClient& client, const Arguments& a) {
    if (a.sandbox.empty())
        return client.call("list", "Sandboxes/List", {}, false);
    auto sandbox = client.call("list", "Sandboxes/Get", {{"sandbox", a.sandbox}}, false);
    return {{"sandboxes", json::array{std::move(sandbox)}}, {"unreadable", json::array()}};
}

json::object open(DaemonClient& client, const Arguments& a) {
    json::object annotations;
    for (const auto& [key, value] : a.annotations)
        annotations[key] = value;
    const auto qmp = a.qmp.empty() ? std::string() : std::filesystem::absolute(a.qmp).string();
    std::optional<json::object> before;
    try {
        before = list(client, a);
    } catch (const Failure& failure) { // not known yet; what else is wrong the open tells
        if (failure.code() == Errc::cancelled)
            throw;
    }
    auto opened = client.call("open sandbox " + a.sandbox, "Sandboxes/Open",
                              {{"sandbox", a.sandbox},
                               {"qmp_socket", qmp},
                               {"annotations", std::move(annotations)},
                               {"owner_pid", a.owner}},
                              true);
    return with_earlier(std::move(opened), before);
}

json::object attach(DaemonClient& client, const Arguments& a) {
    json::object request{{"sandbox", a.sandbox}, {"device", a.device}, {"uuid", a.uuid}};
    if (!a.dry_run)
        request["keep"] = a.keep;
    return with_first_attachment(client.call("attach " + a.device,
                                             a.dry_run ? "Devices/Plan" : "Devices/Attach",
                                             std::move(request), !a.dry_run));
}

} // namespace

json::object ask_daemon(const Arguments& a, Io& io) {
    switch (a.verb) {
    case Verb::config_check:
    case Verb::config_enable:
    case Verb::config_set_kernel:
    case Verb::config_show:
    case Verb::xml_export:
    case Verb::xml_import:
    case Verb::xml_check:
        throw Failure(Errc::invalid_argument,
                      "this verb works on this host's own files and sockets")
            .remedy("leave --daemon out");
    default:
        break;
    }
    if (!a.guest_kernel.empty())
        throw Failure(Errc::invalid_argument, "--guest-kernel is a file of this host's")
            .remedy("leave --daemon out");
    DaemonClient client(a, io);
    switch (a.verb) {
    case Verb::check:
        return client.call("check", "Host/Check", {}, false);
    case Verb::gpus:
        return listing(client, "gpus", "Host/ListGpus", {{"all", a.all}}, io);
    case Verb::types:
        return client.call("types", "Host/ListVgpuTypes", {{"parent", a.subject}}, false);
    case Verb::vgpus:
        return listing(client, "vgpus", "Host/ListVgpus", {}, io);
    case Verb::create:
        return client.call("create " + a.subject, "Host/CreateVgpu",
                           {{"type", a.subject}, {"uuid", a.uuid}}, true);
    case Verb::remove:
        return client.call("remove " + a.subject, "Host/RemoveVgpu", {{"uuid", a.subject}}, true);
    case Verb::bind:
        return client.call("bind " + a.subject, "Host/BindGpu", {{"address", a.subject}}, true);
    case Verb::restore:
        return client.call("restore " + a.subject, "Host/RestoreGpu", {{"address", a.subject}},
                           true);
    case Verb::sandbox_open:
        return open(client, a);
    case Verb::sandbox_release:
        return client.call("release sandbox " + a.sandbox, "Sandboxes/Release",
                           {{"sandbox", a.sandbox}}, true);
    case Verb::attach:
        return attach(client, a);
    case Verb::detach:
        return client.call("detach " + a.device, "Devices/Detach",
                           {{"sandbox", a.sandbox}, {"device", a.device}}, true);
    case Verb::reconcile:
        return client.call("reconcile", "Host/Reconcile",
                           {{"sandbox", a.sandbox}, {"dry_run", a.dry_run}}, true);
    default:
        return list(client, a);
    }
}

} // namespace kata_vfio::cli
