/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

#include "_cgo_export.h"

#include <dlfcn.h>

const kata_vfio_entry_t *bridge_load(const char *path, const char **error) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const kata_vfio_entry_t *entry = library ? dlsym(library, KATA_VFIO_ENTRY_SYMBOL) : NULL;
    if (!library)
        *error = dlerror();
    else if (!kata_vfio_compatible(entry))
        *error = "not a kata-vfio plugin of this ABI";
    return kata_vfio_compatible(entry) ? entry : NULL;
}

static void on_log(void *user_data, int32_t level, kata_vfio_str_t line) {
    katavfioLog((uintptr_t)user_data, level, (char *)line.ptr, line.len);
}

static void on_finished(void *user_data, const kata_vfio_result_t *result) {
    katavfioFinished((uintptr_t)user_data, (kata_vfio_result_t *)result);
}

kata_vfio_status_t bridge_open(const kata_vfio_entry_t *entry, kata_vfio_str_t config_path,
                               kata_vfio_str_t host_root, uintptr_t handle, int with_log,
                               kata_vfio_plugin_t **plugin, char *error, size_t error_size) {
    kata_vfio_host_t host = KATA_VFIO_INIT(host);
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    host.user_data = (void *)handle;
    host.log = with_log ? on_log : NULL;
    options.config_path = config_path;
    options.host_root = host_root;
    return entry->plugin_open(&host, &options, plugin, error, error_size);
}

void bridge_close(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin) {
    entry->plugin_close(plugin);
}

static kata_vfio_call_t call_of(uintptr_t handle) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    call.callback = on_finished;
    call.user_data = (void *)handle;
    return call;
}

kata_vfio_status_t bridge_sandbox_open(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                       const kata_vfio_sandbox_options_t *options, uintptr_t handle,
                                       uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_status_t status = entry->sandbox_open(plugin, options, &call);
    *ticket = call.ticket;
    return status;
}

void bridge_sandbox_close(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox) {
    entry->sandbox_close(sandbox);
}

kata_vfio_status_t bridge_release(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                  kata_vfio_str_t id, uintptr_t handle, uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_status_t status = entry->sandbox_release(plugin, id, &call);
    *ticket = call.ticket;
    return status;
}

kata_vfio_status_t bridge_attach(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox,
                                 kata_vfio_str_t device, uintptr_t handle, uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    kata_vfio_status_t status;
    request.device = device;
    status = entry->attach(sandbox, &request, &call);
    *ticket = call.ticket;
    return status;
}

kata_vfio_status_t bridge_detach(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox,
                                 kata_vfio_str_t device, uintptr_t handle, uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_status_t status = entry->detach(sandbox, device, &call);
    *ticket = call.ticket;
    return status;
}

kata_vfio_status_t bridge_list(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                               kata_vfio_str_t id, uintptr_t handle, uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_status_t status = entry->list(plugin, id, &call);
    *ticket = call.ticket;
    return status;
}

kata_vfio_status_t bridge_reconcile(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                    uintptr_t handle, uint64_t *ticket) {
    kata_vfio_call_t call = call_of(handle);
    kata_vfio_status_t status = KATA_VFIO_HAS(entry, reconcile)
                                    ? entry->reconcile(plugin, NULL, &call)
                                    : KATA_VFIO_E_ABI_MISMATCH;
    *ticket = call.ticket;
    return status;
}

void bridge_cancel(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin, uint64_t ticket) {
    entry->cancel(plugin, ticket);
}

const char *bridge_status_name(const kata_vfio_entry_t *entry, kata_vfio_status_t status) {
    return entry->status_name(status);
}
