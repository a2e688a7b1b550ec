// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/sandbox_verbs.hpp"

#include "runtime-plugin/cli/plugin_host.hpp"
#include "runtime-plugin/cli/sandbox_text.hpp"

#include <boost/json.hpp>

#include <filesystem>
#include <optional>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

/// A sandbox opened for one command. Closing lets the connection to QEMU go, nothing else.
class OpenSandbox {
  public:
    OpenSandbox(PluginHost& host, const Arguments& arguments) : host_(host) {
        // QEMU's socket is the plugin's to open: a relative name means this process's directory.
        const auto qmp = arguments.qmp.empty() ? std::string()
                                               : std::filesystem::absolute(arguments.qmp).string();
        std::vector<kata_vfio_pair_t> annotations;
        for (const auto& [key, value] : arguments.annotations)
            annotations.push_back({view(key), view(value)});
        kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
        options.id = view(arguments.sandbox);
        options.qmp_socket = view(qmp);
        options.annotations = annotations.data();
        options.annotation_count = annotations.size();
        options.owner_pid = arguments.owner;
        answer_ = host_.call("open sandbox " + arguments.sandbox, [&](kata_vfio_call_t* call) {
            return host_.entry().sandbox_open(host_.plugin(), &options, call);
        });
    }
    ~OpenSandbox() { host_.entry().sandbox_close(answer_.sandbox); }
    OpenSandbox(const OpenSandbox&) = delete;
    OpenSandbox& operator=(const OpenSandbox&) = delete;

    kata_vfio_sandbox_t* handle() const noexcept { return answer_.sandbox; }

  private:
    PluginHost& host_;
    Answer answer_;
};

json::object list_of(PluginHost& host, const std::string& id) {
    return host
        .call("list",
              [&](kata_vfio_call_t* call) {
                  return host.entry().list(host.plugin(), view(id), call);
              })
        .json;
}

} // namespace

json::object open_sandbox(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io);
    std::optional<json::object> before;
    try {
        before = list_of(host, arguments.sandbox);
    } catch (const Failure& failure) { // not known yet; what else is wrong the open tells
        if (failure.code() == Errc::cancelled)
            throw;
    }
    const OpenSandbox sandbox(host, arguments);
    // What is remembered has the machine and, for one that was known, its attachments.
    const auto listed = list_of(host, arguments.sandbox);
    return with_earlier(listed.at("sandboxes").as_array().at(0).as_object(), before);
}

json::object release_sandbox(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io, PluginHost::Config::may_be_bad);
    return host
        .call("release sandbox " + arguments.sandbox,
              [&](kata_vfio_call_t* call) {
                  return host.entry().sandbox_release(host.plugin(), view(arguments.sandbox), call);
              })
        .json;
}

json::object attach(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io);
    const OpenSandbox sandbox(host, arguments);
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    if (arguments.dry_run)
        request.flags |= KATA_VFIO_ATTACH_DRY_RUN;
    if (arguments.keep)
        request.flags |= KATA_VFIO_ATTACH_KEEP;
    request.device = view(arguments.device);
    request.uuid = view(arguments.uuid);
    auto answer = host.call("attach " + arguments.device, [&](kata_vfio_call_t* call) {
        return host.entry().attach(sandbox.handle(), &request, call);
    });
    return with_first_attachment(std::move(answer.json));
}

json::object detach(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io, PluginHost::Config::may_be_bad);
    const OpenSandbox sandbox(host, arguments);
    return host
        .call("detach " + arguments.device,
              [&](kata_vfio_call_t* call) {
                  return host.entry().detach(sandbox.handle(), view(arguments.device), call);
              })
        .json;
}

json::object reconcile(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io, PluginHost::Config::may_be_bad);
    if (!KATA_VFIO_HAS(&host.entry(), reconcile))
        throw Failure(Errc::abi_mismatch, "the plugin is older than reconcile")
            .remedy("install the plugin and the command of one version");
    kata_vfio_reconcile_t options = KATA_VFIO_INIT(options);
    options.flags = arguments.dry_run ? KATA_VFIO_RECONCILE_DRY_RUN : 0;
    options.sandbox_id = view(arguments.sandbox);
    return host
        .call("reconcile",
              [&](kata_vfio_call_t* call) {
                  return host.entry().reconcile(host.plugin(), &options, call);
              })
        .json;
}

json::object list(const Arguments& arguments, Io& io) {
    PluginHost host(arguments, io, PluginHost::Config::may_be_bad);
    return list_of(host, arguments.sandbox);
}

} // namespace kata_vfio::cli
