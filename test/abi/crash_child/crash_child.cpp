// SPDX-License-Identifier: Apache-2.0
// A host that may be killed: loads the plugin and does what its arguments say, one after the other.
//
//   abi_crash_child LIBRARY CONFIG ROOT SOCKET WORD...
//
// WORD is open[=ANNOTATION=VALUE], owner=PID (of the next open), attach=DEVICE[,UUID],
// detach=DEVICE, release, reconcile; the sandbox is "sb1". Ends with 0, or at the first failure
// with the hundred of its status, the text on stderr.
#include "runtime-plugin/abi/kata_vfio.h"

#include <dlfcn.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

kata_vfio_str_t view(std::string_view text) {
    return {text.data(), text.size()};
}

class Child {
  public:
    Child(const kata_vfio_entry_t* entry, kata_vfio_plugin_t* plugin, std::string socket)
        : kv_(entry), plugin_(plugin), socket_(std::move(socket)) {}

    int run(std::string_view word) {
        const auto equals = word.find('=');
        const auto verb = word.substr(0, equals);
        const auto rest = equals == word.npos ? std::string_view() : word.substr(equals + 1);
        if (verb == "owner") {
            owner_ = std::stoll(std::string(rest));
            return 0;
        }
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        const auto status = submit(verb, rest, call); // before its ticket is looked at
        return end(status, call.ticket);
    }
    void close() { kv_->sandbox_close(sandbox_); }

  private:
    kata_vfio_status_t submit(std::string_view verb, std::string_view rest,
                              kata_vfio_call_t& call) {
        if (verb == "open") {
            kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
            options.id = view("sb1");
            options.qmp_socket = view(socket_);
            options.owner_pid = owner_;
            const auto equals = rest.find('=');
            const auto name =
                "io.katacontainers.config.hypervisor." + std::string(rest.substr(0, equals));
            kata_vfio_pair_t annotation{view(name), {}};
            if (equals != rest.npos) {
                annotation.value = view(rest.substr(equals + 1));
                options.annotations = &annotation;
                options.annotation_count = 1;
            }
            return kv_->sandbox_open(plugin_, &options, &call);
        }
        if (verb == "attach") {
            const auto comma = rest.find(',');
            kata_vfio_attach_t request = KATA_VFIO_INIT(request);
            request.device = view(rest.substr(0, comma));
            if (comma != rest.npos)
                request.uuid = view(rest.substr(comma + 1));
            return kv_->attach(sandbox_, &request, &call);
        }
        if (verb == "detach")
            return kv_->detach(sandbox_, view(rest), &call);
        if (verb == "release")
            return kv_->sandbox_release(plugin_, view("sb1"), &call);
        if (verb == "reconcile")
            return kv_->reconcile(plugin_, nullptr, &call);
        return KATA_VFIO_E_INVALID_ARGUMENT;
    }

    int end(kata_vfio_status_t status, std::uint64_t ticket) {
        if (status != KATA_VFIO_OK)
            return status / 100;
        kata_vfio_result_t* result = nullptr;
        status = kv_->wait(plugin_, ticket, -1, &result);
        if (result && result->sandbox)
            sandbox_ = result->sandbox;
        if (result && status != KATA_VFIO_OK)
            std::fprintf(stderr, "%.*s\n", static_cast<int>(result->message.len),
                         result->message.ptr);
        kv_->result_free(result);
        return status / 100;
    }

    const kata_vfio_entry_t* kv_;
    kata_vfio_plugin_t* plugin_;
    std::string socket_;
    std::int64_t owner_ = 0;
    kata_vfio_sandbox_t* sandbox_ = nullptr;
};

} // namespace

int main(int argc, char** argv) {
    if (argc < 5)
        return 2;
    void* library = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    const auto* entry =
        library ? static_cast<const kata_vfio_entry_t*>(::dlsym(library, KATA_VFIO_ENTRY_SYMBOL))
                : nullptr;
    if (!kata_vfio_compatible(entry) || !KATA_VFIO_HAS(entry, reconcile))
        return 2;
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.config_path = view(argv[2]);
    options.host_root = view(argv[3]);
    kata_vfio_plugin_t* plugin = nullptr;
    char error[1024] = "";
    if (const auto status = entry->plugin_open(nullptr, &options, &plugin, error, sizeof error);
        status != KATA_VFIO_OK) {
        std::fprintf(stderr, "%s\n", error);
        return status / 100;
    }
    Child child(entry, plugin, argv[4]);
    int status = 0;
    for (int i = 5; i < argc && status == 0; ++i)
        status = child.run(argv[i]);
    child.close();
    entry->plugin_close(plugin);
    return status;
}
