// SPDX-License-Identifier: Apache-2.0
// The exported table, and the wall that no exception passes.
#include "config/load.hpp"
#include "runtime-plugin/abi/collected.hpp"
#include "runtime-plugin/abi/kata_vfio.h"
#include "runtime-plugin/abi/read_struct.hpp"
#include "runtime-plugin/abi/read_text.hpp"
#include "runtime-plugin/plugin/plugin.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

using namespace kata_vfio;
using abi::Collected;
using abi::read_text;
using abi::ResultBox;

struct kata_vfio_sandbox {
    kata_vfio_plugin* owner;
    std::shared_ptr<plugin::Sandbox> core;
};

struct kata_vfio_plugin {
    // Declared first, destroyed last: completions of the plugin's last calls come here.
    Collected collected;
    /// The handles the host has not closed; those in results nobody collected are among them.
    std::mutex mutex;
    std::map<kata_vfio_sandbox*, std::unique_ptr<kata_vfio_sandbox>> handles;
    std::unique_ptr<plugin::Plugin> core;

    kata_vfio_sandbox* open_handle(std::shared_ptr<plugin::Sandbox> sandbox) {
        auto handle = std::make_unique<kata_vfio_sandbox>();
        handle->owner = this;
        handle->core = std::move(sandbox);
        auto* const given = handle.get();
        const std::lock_guard lock(mutex);
        handles.emplace(given, std::move(handle));
        return given;
    }
    void close_handle(kata_vfio_sandbox* handle) {
        const std::lock_guard lock(mutex);
        handles.erase(handle);
    }
};

namespace {

/// wait() hands out the box's inner struct; result_free() needs the box again.
struct OwnedResult {
    kata_vfio_result_t shown; // first: a pointer to it is a pointer to this
    std::unique_ptr<ResultBox> box;
};

template <class F>
kata_vfio_status_t guarded(F&& f) noexcept {
    try {
        f();
        return KATA_VFIO_OK;
    } catch (...) {
        return static_cast<kata_vfio_status_t>(code_of(std::current_exception()));
    }
}

plugin::HostServices services_of(const kata_vfio_host_t& host) {
    plugin::HostServices services;
    if (host.log)
        services.log = [host](plugin::LogLevel level, const std::string& line) {
            host.log(host.user_data, static_cast<std::int32_t>(level), abi::view(line));
        };
    if (host.event)
        services.event = [host](plugin::EventKind kind, const std::string& sandbox,
                                std::uint64_t ticket, const std::string& what) {
            kata_vfio_event_t event = KATA_VFIO_INIT(event);
            event.kind = static_cast<std::uint32_t>(kind);
            event.sandbox = abi::view(sandbox);
            event.ticket = ticket;
            event.text = abi::view(what);
            host.event(host.user_data, &event);
        };
    return services;
}

/// Turns one finished call into its callback, or keeps it for wait().
plugin::Plugin::Completion completion(kata_vfio_plugin* owner, kata_vfio_call_t call) {
    return [owner, call](std::uint64_t ticket, plugin::Outcome&& outcome) {
        auto* const handle = outcome.sandbox ? owner->open_handle(outcome.sandbox) : nullptr;
        auto box = std::make_unique<ResultBox>(ticket, std::move(outcome), handle);
        if (call.callback)
            call.callback(call.user_data, box->result());
        else
            owner->collected.deliver(ticket, std::move(box));
    };
}

/// Checks the caller's struct, starts the call and fills in the ticket. The ticket has to be in
/// place before the call can finish, which it can on another thread at once.
template <class Start>
kata_vfio_status_t submit(kata_vfio_plugin_t* owner, kata_vfio_call_t* call, Start&& start) {
    return guarded([&] {
        const auto given = abi::read_struct(
            call, "kata_vfio_call_t", offsetof(kata_vfio_call_t, ticket) + sizeof(call->ticket));
        abi::require_zero(given.reserved, "kata_vfio_call_t.reserved");
        if (!owner)
            throw Failure(Errc::invalid_argument, "the handle is NULL");
        start(completion(owner, given), [&](std::uint64_t ticket) {
            call->ticket = ticket;
            if (!given.callback)
                owner->collected.expect(ticket);
        });
    });
}

/// Read once, at open: a host that changes its environment later changes nothing here.
plugin::Configured read_configuration(const vfio::HostRoot& root, const std::string& path,
                                      bool late) {
    plugin::Configured configured;
    try {
        const char* named = std::getenv("KATA_CONF_FILE"); // NOLINT(concurrency-mt-unsafe)
        configured.values = config::load(path.empty() ? config::find(root.root(), named)
                                                      : std::filesystem::path(path));
    } catch (const Failure& failure) {
        if (!late)
            throw;
        configured.refused = failure;
    }
    return configured;
}

kata_vfio_status_t plugin_open(const kata_vfio_host_t* host,
                               const kata_vfio_plugin_options_t* options, kata_vfio_plugin_t** out,
                               char* error_text, size_t error_size) {
    if (!out)
        return KATA_VFIO_E_INVALID_ARGUMENT;
    *out = nullptr;
    std::string message;
    const auto status = guarded([&] {
        try {
            kata_vfio_host_t services{};
            if (host)
                services = abi::read_struct(host, "kata_vfio_host_t",
                                            offsetof(kata_vfio_host_t, user_data));
            abi::require_zero(services.reserved, "kata_vfio_host_t.reserved");
            kata_vfio_plugin_options_t given{};
            if (options)
                given = abi::read_struct(options, "kata_vfio_plugin_options_t",
                                         offsetof(kata_vfio_plugin_options_t, config_path));
            if ((given.flags & ~std::uint32_t{KATA_VFIO_PLUGIN_LATE_CONFIG}) != 0)
                throw Failure(Errc::abi_mismatch,
                              "kata_vfio_plugin_options_t.flags has unknown bits");
            auto root = read_text(given.host_root, "host_root");
            auto config_path = read_text(given.config_path, "config_path");
            const vfio::HostRoot host_root(root.empty() ? "/" : root);
            auto configuration = read_configuration(
                host_root, config_path, (given.flags & KATA_VFIO_PLUGIN_LATE_CONFIG) != 0);
            auto opened = std::make_unique<kata_vfio_plugin>();
            opened->core = std::make_unique<plugin::Plugin>(host_root, std::move(configuration),
                                                            services_of(services));
            *out = opened.release();
        } catch (const std::exception& error) {
            message = error.what();
            throw;
        }
    });
    if (status != KATA_VFIO_OK && error_text && error_size > 0) {
        const auto n = std::min(message.size(), error_size - 1);
        std::memcpy(error_text, message.data(), n);
        error_text[n] = '\0';
    }
    return status;
}

void plugin_close(kata_vfio_plugin_t* opened) {
    delete opened;
}

kata_vfio_status_t sandbox_open(kata_vfio_plugin_t* opened,
                                const kata_vfio_sandbox_options_t* options,
                                kata_vfio_call_t* call) {
    return submit(opened, call, [&](auto done, auto started) {
        const auto given = abi::read_struct(options, "kata_vfio_sandbox_options_t",
                                            offsetof(kata_vfio_sandbox_options_t, annotations));
        abi::require_zero(given.reserved, "kata_vfio_sandbox_options_t.reserved");
        if (given.annotation_count > 1024 || (given.annotation_count > 0 && !given.annotations))
            throw Failure(Errc::invalid_argument, "annotations are NULL, or more than 1024");
        if (given.owner_pid < 0)
            throw Failure(Errc::invalid_argument, "owner_pid is negative");
        plugin::Sandbox::OpenRequest request;
        request.owner_pid = given.owner_pid;
        for (size_t i = 0; i < given.annotation_count; ++i)
            request.annotations[read_text(given.annotations[i].key, "annotation key")] =
                read_text(given.annotations[i].value, "annotation value");
        request.qmp_socket = read_text(given.qmp_socket, "qmp_socket");
        opened->core->open_sandbox(read_text(given.id, "id"), std::move(request), std::move(done),
                                   started);
    });
}

void sandbox_close(kata_vfio_sandbox_t* sandbox) {
    if (!sandbox)
        return;
    sandbox->owner->core->close(sandbox->core);
    sandbox->owner->close_handle(sandbox);
}

kata_vfio_status_t sandbox_release(kata_vfio_plugin_t* opened, kata_vfio_str_t sandbox_id,
                                   kata_vfio_call_t* call) {
    return submit(opened, call, [&](auto done, auto started) {
        opened->core->release(read_text(sandbox_id, "sandbox_id"), std::move(done), started);
    });
}

kata_vfio_status_t attach(kata_vfio_sandbox_t* sandbox, const kata_vfio_attach_t* request,
                          kata_vfio_call_t* call) {
    return submit(sandbox ? sandbox->owner : nullptr, call, [&](auto done, auto started) {
        const auto given = abi::read_struct(request, "kata_vfio_attach_t",
                                            offsetof(kata_vfio_attach_t, device) +
                                                sizeof(kata_vfio_attach_t::device));
        constexpr std::uint32_t known = KATA_VFIO_ATTACH_DRY_RUN | KATA_VFIO_ATTACH_KEEP;
        if ((given.flags & ~known) != 0)
            throw Failure(Errc::abi_mismatch, "kata_vfio_attach_t.flags has unknown bits");
        plugin::Sandbox::AttachRequest wanted;
        wanted.device = read_text(given.device, "device");
        wanted.uuid = read_text(given.uuid, "uuid");
        wanted.dry_run = (given.flags & KATA_VFIO_ATTACH_DRY_RUN) != 0;
        wanted.keep = (given.flags & KATA_VFIO_ATTACH_KEEP) != 0;
        sandbox->owner->core->attach(sandbox->core, std::move(wanted), std::move(done), started);
    });
}

kata_vfio_status_t detach(kata_vfio_sandbox_t* sandbox, kata_vfio_str_t device,
                          kata_vfio_call_t* call) {
    return submit(sandbox ? sandbox->owner : nullptr, call, [&](auto done, auto started) {
        sandbox->owner->core->detach(sandbox->core, read_text(device, "device"), std::move(done),
                                     started);
    });
}

kata_vfio_status_t list(kata_vfio_plugin_t* opened, kata_vfio_str_t sandbox_id,
                        kata_vfio_call_t* call) {
    return submit(opened, call, [&](auto done, auto started) {
        opened->core->list(read_text(sandbox_id, "sandbox_id"), std::move(done), started);
    });
}

kata_vfio_status_t reconcile(kata_vfio_plugin_t* opened, const kata_vfio_reconcile_t* options,
                             kata_vfio_call_t* call) {
    return submit(opened, call, [&](auto done, auto started) {
        kata_vfio_reconcile_t given{};
        if (options)
            given = abi::read_struct(options, "kata_vfio_reconcile_t",
                                     offsetof(kata_vfio_reconcile_t, sandbox_id));
        if ((given.flags & ~std::uint32_t{KATA_VFIO_RECONCILE_DRY_RUN}) != 0)
            throw Failure(Errc::abi_mismatch, "kata_vfio_reconcile_t.flags has unknown bits");
        opened->core->reconcile(read_text(given.sandbox_id, "sandbox_id"),
                                (given.flags & KATA_VFIO_RECONCILE_DRY_RUN) != 0, std::move(done),
                                started);
    });
}

void cancel(kata_vfio_plugin_t* opened, uint64_t ticket) {
    if (opened)
        opened->core->cancel(ticket);
}

kata_vfio_status_t wait(kata_vfio_plugin_t* opened, uint64_t ticket, int64_t timeout_ms,
                        kata_vfio_result_t** result) {
    if (!result)
        return KATA_VFIO_E_INVALID_ARGUMENT;
    *result = nullptr;
    if (!opened)
        return KATA_VFIO_E_INVALID_ARGUMENT;
    kata_vfio_status_t status = KATA_VFIO_OK;
    const auto own = guarded([&] {
        std::unique_ptr<ResultBox> box;
        switch (opened->collected.wait(ticket, timeout_ms, box)) {
        case Collected::Wait::unknown:
            status = KATA_VFIO_E_INVALID_ARGUMENT;
            return;
        case Collected::Wait::timed_out:
            status = KATA_VFIO_E_HOST_TIMEOUT;
            return;
        case Collected::Wait::collected:
            break;
        }
        auto owned = std::make_unique<OwnedResult>(OwnedResult{*box->result(), nullptr});
        owned->box = std::move(box);
        status = owned->shown.status;
        *result = &owned.release()->shown;
    });
    return own != KATA_VFIO_OK ? own : status;
}

void result_free(kata_vfio_result_t* result) {
    delete reinterpret_cast<OwnedResult*>(result);
}

const char* status_name(kata_vfio_status_t status) {
    // Every name is a literal, so NUL-terminated.
    return name(static_cast<Errc>(status)).data();
}

} // namespace

extern "C" {
// The one exported symbol (version-script.map).
extern __attribute__((visibility("default"))) const kata_vfio_entry_t kata_vfio_entry;
const kata_vfio_entry_t kata_vfio_entry = {
    sizeof(kata_vfio_entry_t),
    KATA_VFIO_ABI_MAJOR,
    KATA_VFIO_ABI_MINOR,
    {KATA_VFIO_VERSION, sizeof(KATA_VFIO_VERSION) - 1},
    plugin_open,
    plugin_close,
    sandbox_open,
    sandbox_close,
    sandbox_release,
    attach,
    detach,
    list,
    cancel,
    wait,
    result_free,
    status_name,
    reconcile,
};
}
