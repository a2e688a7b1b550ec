/* SPDX-License-Identifier: Apache-2.0 */
/* What cgo can't do itself: call through the plugin's table, and hand C strings and structs over
 * without keeping a Go pointer. Each function is the table's of the same name. `handle` comes back as
 * the callback's user_data. */
#ifndef KATAVFIO_BRIDGE_H
#define KATAVFIO_BRIDGE_H

#include "kata_vfio.h"

/* NULL, and *error (static or dlerror's), when it can't be loaded or is of another ABI. */
const kata_vfio_entry_t *bridge_load(const char *path, const char **error);

kata_vfio_status_t bridge_open(const kata_vfio_entry_t *entry, kata_vfio_str_t config_path,
                               kata_vfio_str_t host_root, uintptr_t handle, int with_log,
                               kata_vfio_plugin_t **plugin, char *error, size_t error_size);
void bridge_close(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin);

kata_vfio_status_t bridge_sandbox_open(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                       const kata_vfio_sandbox_options_t *options, uintptr_t handle,
                                       uint64_t *ticket);
void bridge_sandbox_close(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox);
kata_vfio_status_t bridge_release(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                  kata_vfio_str_t id, uintptr_t handle, uint64_t *ticket);
kata_vfio_status_t bridge_attach(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox,
                                 kata_vfio_str_t device, uintptr_t handle, uint64_t *ticket);
kata_vfio_status_t bridge_detach(const kata_vfio_entry_t *entry, kata_vfio_sandbox_t *sandbox,
                                 kata_vfio_str_t device, uintptr_t handle, uint64_t *ticket);
kata_vfio_status_t bridge_list(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                               kata_vfio_str_t id, uintptr_t handle, uint64_t *ticket);
kata_vfio_status_t bridge_reconcile(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin,
                                    uintptr_t handle, uint64_t *ticket);
void bridge_cancel(const kata_vfio_entry_t *entry, kata_vfio_plugin_t *plugin, uint64_t ticket);
const char *bridge_status_name(const kata_vfio_entry_t *entry, kata_vfio_status_t status);

#endif
