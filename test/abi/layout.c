/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of ABI 1.0 on 64-bit Linux. A line here is never changed, only added: it is what a
 * host compiled years ago has built in. */
#include "kata_vfio.h"

#include <assert.h>

#define AT(type, member, offset)                                                                   \
    static_assert(offsetof(type, member) == (offset), #type "." #member)
#define SIZE(type, size) static_assert(sizeof(type) >= (size), #type)

static_assert(sizeof(void*) == 8, "the table is for 64-bit hosts");

AT(kata_vfio_str_t, ptr, 0);
AT(kata_vfio_str_t, len, 8);
static_assert(sizeof(kata_vfio_str_t) == 16, "strings are embedded: they can't grow");
static_assert(sizeof(kata_vfio_status_t) == 4, "status");

AT(kata_vfio_event_t, struct_size, 0);
AT(kata_vfio_event_t, kind, 4);
AT(kata_vfio_event_t, sandbox, 8);
AT(kata_vfio_event_t, ticket, 24);
AT(kata_vfio_event_t, text, 32);
SIZE(kata_vfio_event_t, 48);

AT(kata_vfio_host_t, struct_size, 0);
AT(kata_vfio_host_t, reserved, 4);
AT(kata_vfio_host_t, user_data, 8);
AT(kata_vfio_host_t, log, 16);
AT(kata_vfio_host_t, event, 24);
SIZE(kata_vfio_host_t, 32);

AT(kata_vfio_plugin_options_t, struct_size, 0);
AT(kata_vfio_plugin_options_t, flags, 4);
AT(kata_vfio_plugin_options_t, config_path, 8);
AT(kata_vfio_plugin_options_t, host_root, 24);
SIZE(kata_vfio_plugin_options_t, 40);

AT(kata_vfio_pair_t, key, 0);
AT(kata_vfio_pair_t, value, 16);
static_assert(sizeof(kata_vfio_pair_t) == 32, "pairs come in arrays: they can't grow");

AT(kata_vfio_sandbox_options_t, struct_size, 0);
AT(kata_vfio_sandbox_options_t, reserved, 4);
AT(kata_vfio_sandbox_options_t, id, 8);
AT(kata_vfio_sandbox_options_t, qmp_socket, 24);
AT(kata_vfio_sandbox_options_t, annotations, 40);
AT(kata_vfio_sandbox_options_t, annotation_count, 48);
SIZE(kata_vfio_sandbox_options_t, 56);

AT(kata_vfio_attach_t, struct_size, 0);
AT(kata_vfio_attach_t, flags, 4);
AT(kata_vfio_attach_t, device, 8);
AT(kata_vfio_attach_t, uuid, 24);
SIZE(kata_vfio_attach_t, 40);

AT(kata_vfio_attachment_t, struct_size, 0);
AT(kata_vfio_attachment_t, kind, 4);
AT(kata_vfio_attachment_t, sandbox, 8);
AT(kata_vfio_attachment_t, device, 24);
AT(kata_vfio_attachment_t, id, 40);
AT(kata_vfio_attachment_t, host_address, 56);
AT(kata_vfio_attachment_t, uuid, 72);
AT(kata_vfio_attachment_t, mdev_type, 88);
AT(kata_vfio_attachment_t, sysfsdev, 104);
AT(kata_vfio_attachment_t, guest_address, 120);
AT(kata_vfio_attachment_t, iommu_group, 136);
AT(kata_vfio_attachment_t, owned, 140);
SIZE(kata_vfio_attachment_t, 144);

AT(kata_vfio_sandbox_info_t, struct_size, 0);
AT(kata_vfio_sandbox_info_t, reserved, 4);
AT(kata_vfio_sandbox_info_t, id, 8);
AT(kata_vfio_sandbox_info_t, qmp_socket, 24);
AT(kata_vfio_sandbox_info_t, machine, 40);
SIZE(kata_vfio_sandbox_info_t, 56);

AT(kata_vfio_result_t, struct_size, 0);
AT(kata_vfio_result_t, status, 4);
AT(kata_vfio_result_t, ticket, 8);
AT(kata_vfio_result_t, message, 16);
AT(kata_vfio_result_t, action, 32);
AT(kata_vfio_result_t, problem, 48);
AT(kata_vfio_result_t, said, 64);
AT(kata_vfio_result_t, blocker, 80);
AT(kata_vfio_result_t, remedy, 96);
AT(kata_vfio_result_t, sandbox, 112);
AT(kata_vfio_result_t, attachments, 120);
AT(kata_vfio_result_t, attachment_count, 128);
AT(kata_vfio_result_t, sandboxes, 136);
AT(kata_vfio_result_t, sandbox_count, 144);
AT(kata_vfio_result_t, json, 152);
SIZE(kata_vfio_result_t, 168);

AT(kata_vfio_call_t, struct_size, 0);
AT(kata_vfio_call_t, reserved, 4);
AT(kata_vfio_call_t, callback, 8);
AT(kata_vfio_call_t, user_data, 16);
AT(kata_vfio_call_t, ticket, 24);
SIZE(kata_vfio_call_t, 32);

AT(kata_vfio_entry_t, struct_size, 0);
AT(kata_vfio_entry_t, abi_major, 4);
AT(kata_vfio_entry_t, abi_minor, 6);
AT(kata_vfio_entry_t, version, 8);
AT(kata_vfio_entry_t, plugin_open, 24);
AT(kata_vfio_entry_t, plugin_close, 32);
AT(kata_vfio_entry_t, sandbox_open, 40);
AT(kata_vfio_entry_t, sandbox_close, 48);
AT(kata_vfio_entry_t, sandbox_release, 56);
AT(kata_vfio_entry_t, attach, 64);
AT(kata_vfio_entry_t, detach, 72);
AT(kata_vfio_entry_t, list, 80);
AT(kata_vfio_entry_t, cancel, 88);
AT(kata_vfio_entry_t, wait, 96);
AT(kata_vfio_entry_t, result_free, 104);
AT(kata_vfio_entry_t, status_name, 112);
SIZE(kata_vfio_entry_t, 120);
/* 1.1 */
AT(kata_vfio_entry_t, reconcile, 120);
SIZE(kata_vfio_entry_t, 128);

AT(kata_vfio_reconcile_t, struct_size, 0);
AT(kata_vfio_reconcile_t, flags, 4);
AT(kata_vfio_reconcile_t, sandbox_id, 8);
SIZE(kata_vfio_reconcile_t, 24);

/* 1.2 */
AT(kata_vfio_sandbox_options_t, owner_pid, 56);
SIZE(kata_vfio_sandbox_options_t, 64);
AT(kata_vfio_attachment_t, flags, 144);
AT(kata_vfio_attachment_t, reserved, 148);
SIZE(kata_vfio_attachment_t, 152);
static_assert(KATA_VFIO_ATTACH_KEEP == 2, "values");
static_assert(KATA_VFIO_ATTACHMENT_OWN == 1 && KATA_VFIO_ATTACHMENT_PREPARED == 2 &&
                  KATA_VFIO_ATTACHMENT_UNPLUGGED == 4 && KATA_VFIO_ATTACHMENT_KEEP == 8,
              "values");

static_assert(KATA_VFIO_ATTACH_DRY_RUN == 1 && KATA_VFIO_KIND_PCI == 1 && KATA_VFIO_KIND_MDEV == 2,
              "values");
static_assert(KATA_VFIO_RECONCILE_DRY_RUN == 1, "values");
static_assert(KATA_VFIO_LOG_ERROR == 0 && KATA_VFIO_LOG_DEBUG == 3, "values");
static_assert(KATA_VFIO_EVENT_STEP == 1 && KATA_VFIO_EVENT_QEMU_GONE == 2, "values");
