/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kata_vfio.h: the C ABI of libkata_vfio.so, version 1.2.
 *
 * The plugin hot-plugs vfio and mdev devices into the root bus of a sandbox's QEMU over QMP, and
 * owns what has to be true around that: policy, driver binding, the life of a vGPU. A host (a
 * container runtime, the kata-vfio command, a daemon) opens the library, finds the one exported
 * symbol `kata_vfio_entry`, and calls through it:
 *
 *     void *library = dlopen("libkata_vfio.so.1", RTLD_NOW | RTLD_LOCAL);
 *     const kata_vfio_entry_t *kv = dlsym(library, KATA_VFIO_ENTRY_SYMBOL);
 *     if (!kata_vfio_compatible(kv)) ...
 *
 * Rules that hold for everything here:
 *
 *  - Growth. Tables and structs start with their size and grow at the end only; nothing is
 *    reordered or reused. Fill `struct_size` with sizeof of the struct you were compiled with and
 *    zero the rest (KATA_VFIO_INIT): zero always means the default. `reserved` must be zero in what
 *    you pass, and is to be ignored in what you get. Before you use a member that is younger than
 *    1.0, test it with KATA_VFIO_HAS.
 *  - Strings are pointer and length, UTF-8, not NUL-terminated; {NULL, 0} is the empty string.
 *    What you pass is copied before the call returns. What you get in a callback lives until the
 *    callback returns; what you get from wait() lives until result_free().
 *  - Ownership. Handles end with their close function. Nothing else is freed by the host but the
 *    results of wait().
 *  - Threads. [any-thread]: callable from every thread, also at once. [callback]: called by the
 *    plugin on a thread of its own, never inside a call of yours; it must return soon, and of the
 *    functions here may call only those tagged [in-callback] as well.
 *  - Calls that have to wait for the kernel or QEMU take a kata_vfio_call_t and return at once.
 * Each call that returned KATA_VFIO_OK finishes exactly once: by your callback, or, when you gave
 *    none, by being collected with wait(). After a close function returned, nothing of the closed
 *    thing is called back any more.
 *  - Nothing throws, no C++ type, FILE or errno crosses. fork() without exec in a host that has a
 *    plugin open leaves the child without the plugin's threads: don't use it there.
 *  - Unloading is a no-op (the library is linked with -z nodelete).
 *
 * docs/abi.md is the guide; docs/errors.md explains each status.
 */
#ifndef KATA_VFIO_H
#define KATA_VFIO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Versions: a change of MAJOR breaks hosts, MINOR counts what was appended (docs/abi.md lists the
 * reason for each). */
#define KATA_VFIO_ABI_MAJOR 1
#define KATA_VFIO_ABI_MINOR 2
#define KATA_VFIO_ENTRY_SYMBOL "kata_vfio_entry"

/* A zeroed struct with its size filled in: kata_vfio_attach_t request = KATA_VFIO_INIT(request); */
#ifdef __cplusplus
} /* a template can't have C linkage */
template <class T>
inline T kata_vfio_sized() {
    T value{};
    value.struct_size = sizeof(T);
    return value;
}
extern "C" {
#define KATA_VFIO_INIT(variable) kata_vfio_sized<decltype(variable)>()
#else
#define KATA_VFIO_INIT(variable)                                                                   \
    { .struct_size = sizeof(variable) }
#endif

/* Whether the table or struct that `pointer` points to is long enough to have `member`, and it is
 * set. */
#define KATA_VFIO_HAS(pointer, member)                                                             \
    (offsetof(__typeof__(*(pointer)), member) + sizeof((pointer)->member) <=                       \
         (pointer)->struct_size &&                                                                 \
     (pointer)->member)

typedef struct kata_vfio_str {
    const char* ptr; /* not NUL-terminated; may be NULL when len is 0 */
    size_t len;      /* bytes */
} kata_vfio_str_t;

typedef struct kata_vfio_plugin kata_vfio_plugin_t;   /* opaque */
typedef struct kata_vfio_sandbox kata_vfio_sandbox_t; /* opaque */

/* What became of a call. The numbers are fixed; the hundreds are the kind: 2xx the request itself,
 * 3xx policy, 4xx the host or a device, 5xx QEMU, 6xx a time limit, 7xx cancelled, 1xx our fault.
 * A host that meets a number it does not know goes by the hundred. */
typedef int32_t kata_vfio_status_t;
enum {
    KATA_VFIO_OK = 0,
    KATA_VFIO_E_INTERNAL = 100,
    KATA_VFIO_E_INVALID_ARGUMENT = 200,
    KATA_VFIO_E_MALFORMED_ADDRESS = 201,
    KATA_VFIO_E_MALFORMED_UUID = 202,
    KATA_VFIO_E_MALFORMED_DEVICE = 203,
    KATA_VFIO_E_MALFORMED_SANDBOX_ID = 204,
    KATA_VFIO_E_ABI_MISMATCH = 205,
    KATA_VFIO_E_CONFIG_INVALID = 300,
    KATA_VFIO_E_MACHINE_REFUSED = 301,
    KATA_VFIO_E_ROOT_BUS_OFF = 302,
    KATA_VFIO_E_LIVE_MACHINE_REFUSED = 303,
    KATA_VFIO_E_ANNOTATION_REFUSED = 304,
    KATA_VFIO_E_NOT_ALLOWED = 305,
    KATA_VFIO_E_HOST_IO = 400,
    KATA_VFIO_E_NO_IOMMU = 401,
    KATA_VFIO_E_DEVICE_NOT_FOUND = 402,
    KATA_VFIO_E_NOT_A_VFIO_NODE = 403,
    KATA_VFIO_E_SANDBOX_NOT_FOUND = 404,
    KATA_VFIO_E_GROUP_NOT_VIABLE = 405,
    KATA_VFIO_E_DEVICE_IN_USE = 406,
    KATA_VFIO_E_NO_INSTANCES = 407,
    KATA_VFIO_E_UUID_EXISTS = 408,
    KATA_VFIO_E_TYPE_NOT_FOUND = 409,
    KATA_VFIO_E_PARENT_NOT_FOUND = 410,
    KATA_VFIO_E_BIND_FAILED = 411,
    KATA_VFIO_E_REMOVAL_PENDING = 412,
    KATA_VFIO_E_STATE_CORRUPT = 413,
    KATA_VFIO_E_NOT_ATTACHED = 414,
    KATA_VFIO_E_ALREADY_ATTACHED = 415,
    KATA_VFIO_E_PERMISSION_DENIED = 416,
    KATA_VFIO_E_SANDBOX_BUSY = 417,
    KATA_VFIO_E_DRIVER_MISSING = 418,
    KATA_VFIO_E_GVT_REFUSED = 419,   /* since 1.2 */
    KATA_VFIO_E_LIMIT_TOO_LOW = 420, /* since 1.2 */
    KATA_VFIO_E_QEMU_REFUSED = 500,
    KATA_VFIO_E_MONITOR_MISSING = 501,
    KATA_VFIO_E_MONITOR_REFUSED = 502,
    KATA_VFIO_E_MONITOR_BUSY = 503,
    KATA_VFIO_E_NOT_QMP = 504,
    KATA_VFIO_E_QEMU_GONE = 505,
    KATA_VFIO_E_ROOT_BUS_FULL = 506,
    KATA_VFIO_E_GUEST_NOT_READY = 507,
    KATA_VFIO_E_QMP_PROTOCOL = 508,
    KATA_VFIO_E_QMP_TIMEOUT = 600,
    KATA_VFIO_E_UNPLUG_TIMEOUT = 601,
    KATA_VFIO_E_HOST_TIMEOUT = 602,
    KATA_VFIO_E_CANCELLED = 700
};

enum { /* levels of kata_vfio_host_t.log */
       KATA_VFIO_LOG_ERROR = 0,
       KATA_VFIO_LOG_WARNING = 1,
       KATA_VFIO_LOG_INFO = 2,
       KATA_VFIO_LOG_DEBUG = 3
};

enum { /* kinds of kata_vfio_event_t; a host ignores those it does not know */
       /* A step of a running call begins; `text` says which, for progress displays. */
       KATA_VFIO_EVENT_STEP = 1,
       /* The connection to the sandbox's QEMU ended, and nobody is there to connect to again;
        * `text` says how. Its devices are given back by sandbox_release. */
       KATA_VFIO_EVENT_QEMU_GONE = 2,
       /* Something about the connection to the sandbox's QEMU that needs no action: it was lost and
        * is being made again; it is back, with what happened meanwhile; it could not be made again
        * for now (another client has the monitor), the next call tries; QEMU does not answer; it
        * answers again. `text` says which. */
       KATA_VFIO_EVENT_MONITOR = 3
};

typedef struct kata_vfio_event {
    uint32_t struct_size;
    uint32_t kind;
    kata_vfio_str_t sandbox; /* sandbox id */
    uint64_t ticket;         /* the call it belongs to, 0 when none */
    kata_vfio_str_t text;
} kata_vfio_event_t;

/* What the host offers the plugin. Every member may be NULL. */
typedef struct kata_vfio_host {
    uint32_t struct_size;
    uint32_t reserved;
    void* user_data; /* first argument of each callback; lives until plugin_close returned */
    /* [callback] one line without a newline */
    void (*log)(void* user_data, int32_t level, kata_vfio_str_t line);
    /* [callback] */
    void (*event)(void* user_data, const kata_vfio_event_t* event);
} kata_vfio_host_t;

enum { /* flags of kata_vfio_plugin_options_t */
       /* A configuration that is missing or wrong does not fail plugin_open: what is attached can
        * still be listed, detached and released, with the defaults of [vfio] (state directory,
        * time limits). Every attach, and every sandbox_open of a sandbox that is not remembered, is
        * refused with what is wrong. */
       KATA_VFIO_PLUGIN_LATE_CONFIG = 1
};

typedef struct kata_vfio_plugin_options {
    uint32_t struct_size;
    uint32_t flags; /* unknown bits are refused */
    /* Kata's configuration.toml; empty = KATA_CONF_FILE of the environment, then
     * /etc/kata-containers/, /usr/share/defaults/kata-containers/, then
     * /opt/kata/share/defaults/kata-containers/ */
    kata_vfio_str_t config_path;
    /* Directory under which sys, dev, proc and run are found; empty = "/". For tests. */
    kata_vfio_str_t host_root;
} kata_vfio_plugin_options_t;

typedef struct kata_vfio_pair {
    kata_vfio_str_t key;
    kata_vfio_str_t value;
} kata_vfio_pair_t;

typedef struct kata_vfio_sandbox_options {
    uint32_t struct_size;
    uint32_t reserved;
    /* 1 to 128 characters of A-Z a-z 0-9 . _ -, starting with a letter or digit */
    kata_vfio_str_t id;
    /* Absolute path of QEMU's QMP socket (-qmp unix:PATH,server=on,wait=off). QEMU serves one
     * client a monitor: give the plugin a monitor of its own. May be empty for a sandbox that was
     * opened before: the path is remembered. */
    kata_vfio_str_t qmp_socket;
    /* The pod's annotations, io.katacontainers.config.hypervisor.* ; others are ignored. Remembered
     * for a sandbox that is opened again with none. */
    const kata_vfio_pair_t* annotations;
    size_t annotation_count;
    /* Since 1.2. The process that the sandbox belongs to, as the plugin's process sees it: when it
     * has ended, reconcile (and a plugin in which the sandbox is open) unplugs and gives back all
     * the sandbox has, although its QEMU runs. 0: none, or as remembered. */
    int64_t owner_pid;
} kata_vfio_sandbox_options_t;

enum { /* flags of kata_vfio_attach_t */
       /* Decide and explain, touch nothing: the result's json has the steps and the QMP command. */
       KATA_VFIO_ATTACH_DRY_RUN = 1,
       /* Since 1.2. A vGPU that is made stays when it is detached, as a foreign one. Refused for
        * what is not made. */
       KATA_VFIO_ATTACH_KEEP = 2
};

typedef struct kata_vfio_attach {
    uint32_t struct_size;
    uint32_t flags; /* unknown bits are refused */
    /* /dev/vfio/N, /dev/vfio/devices/vfioN, MAJOR:MINOR of such a node, a BDF "0000:00:02.0", the
     * UUID of a mediated device, or a vGPU to be made: TYPE, TYPE@PARENT, or since 1.2 by what it
     * must have at least: "vgpu:low_gm=128MB,resolution=1920x1200", also with @PARENT; or since 1.2
     * a virtual function (SR-IOV): "sriov" or "sriov@BDF" of the physical one. */
    kata_vfio_str_t device;
    /* For a vGPU to be made: its UUID; empty = a random one. Refused with any other device. */
    kata_vfio_str_t uuid;
} kata_vfio_attach_t;

enum { /* flags of kata_vfio_reconcile_t */
       /* Look and report, touch nothing. */
       KATA_VFIO_RECONCILE_DRY_RUN = 1
};

/* Since 1.1. */
typedef struct kata_vfio_reconcile {
    uint32_t struct_size;
    uint32_t flags;             /* unknown bits are refused */
    kata_vfio_str_t sandbox_id; /* only this one; empty = all, and what no sandbox has */
} kata_vfio_reconcile_t;

enum {                         /* kinds of kata_vfio_attachment_t */
       KATA_VFIO_KIND_PCI = 1, /* a physical function (GVT-d) */
       KATA_VFIO_KIND_MDEV = 2 /* a mediated device (GVT-g) */
};

enum { /* flags of kata_vfio_attachment_t, since 1.2 */
       /* asked for by the sandbox's annotations or configuration when it was opened */
       KATA_VFIO_ATTACHMENT_OWN = 1,
       /* made or bound, and not plugged yet: the guest has not been started; no guest_address */
       KATA_VFIO_ATTACHMENT_PREPARED = 2,
       /* unplugged, and the host's side not given back yet */
       KATA_VFIO_ATTACHMENT_UNPLUGGED = 4,
       /* the vGPU stays when it is detached */
       KATA_VFIO_ATTACHMENT_KEEP = 8
};

/* One device in one sandbox. */
typedef struct kata_vfio_attachment {
    uint32_t struct_size;
    uint32_t kind;
    kata_vfio_str_t sandbox;       /* sandbox id */
    kata_vfio_str_t device;        /* as the attach request named it */
    kata_vfio_str_t id;            /* QEMU's device id (qdev id) */
    kata_vfio_str_t host_address;  /* BDF of the function, or of the vGPU's parent */
    kata_vfio_str_t uuid;          /* mdev only */
    kata_vfio_str_t mdev_type;     /* mdev only */
    kata_vfio_str_t sysfsdev;      /* what QEMU was given */
    kata_vfio_str_t guest_address; /* "0000:00:0f.0", as the guest's lspci -D shows it */
    int32_t iommu_group;           /* host's number; -1 unknown */
    uint32_t owned;                /* 1: made or bound for this attachment, undone at detach */
    uint32_t flags;                /* since 1.2: KATA_VFIO_ATTACHMENT_* */
    uint32_t reserved;
} kata_vfio_attachment_t;

typedef struct kata_vfio_sandbox_info {
    uint32_t struct_size;
    uint32_t reserved;
    kata_vfio_str_t id;
    kata_vfio_str_t qmp_socket;
    kata_vfio_str_t machine; /* QEMU's machine type when it was opened, "pc-i440fx-7.2" */
} kata_vfio_sandbox_info_t;

/* How a call ended. */
typedef struct kata_vfio_result {
    uint32_t struct_size;
    kata_vfio_status_t status;
    uint64_t ticket;
    /* With a failure: the whole text, and its parts (any of them may be empty): what was being
     * done, what is wrong, the kernel's or QEMU's own words, who blocks it, what to do. */
    kata_vfio_str_t message;
    kata_vfio_str_t action;
    kata_vfio_str_t problem;
    kata_vfio_str_t said;
    kata_vfio_str_t blocker;
    kata_vfio_str_t remedy;
    /* sandbox_open: the handle, yours until sandbox_close. */
    kata_vfio_sandbox_t* sandbox;
    /* attach: the devices plugged; detach: those taken out; list: all. Arrays of pointers, so that
     * an older host, whose sizeof of the struct is smaller, finds every element. */
    const kata_vfio_attachment_t* const* attachments;
    size_t attachment_count;
    /* list: the sandboxes. */
    const kata_vfio_sandbox_info_t* const* sandboxes;
    size_t sandbox_count;
    /* The same as a JSON object (schema: docs/json.md); for a dry run, the plan. */
    kata_vfio_str_t json;
} kata_vfio_result_t;

/* [callback] `result` lives until the callback returns. */
typedef void (*kata_vfio_callback_t)(void* user_data, const kata_vfio_result_t* result);

/* How a call's end is told. callback NULL: collect it with wait(ticket). */
typedef struct kata_vfio_call {
    uint32_t struct_size;
    uint32_t reserved;
    kata_vfio_callback_t callback;
    void* user_data;
    uint64_t ticket; /* out: set before the call can finish; never 0 */
} kata_vfio_call_t;

/* The exported table. */
typedef struct kata_vfio_entry {
    uint32_t struct_size;
    uint16_t abi_major;
    uint16_t abi_minor;
    kata_vfio_str_t version; /* of the plugin, "0.1.0" */

    /* Reads the configuration and starts the plugin's threads. [any-thread], blocking (files only).
     * `host` and `options` may be NULL. On failure *plugin is NULL and, when error_text is given,
     * at most error_size bytes of the NUL-terminated text are written there. */
    kata_vfio_status_t (*plugin_open)(const kata_vfio_host_t* host,
                                      const kata_vfio_plugin_options_t* options,
                                      kata_vfio_plugin_t** plugin, char* error_text,
                                      size_t error_size);

    /* Cancels what runs, closes the sandboxes' connections, waits for the last callback.
     * Attachments stay. Sandbox handles that are still open end with it.
     * [any-thread], blocking; not from a callback. NULL is allowed. */
    void (*plugin_close)(kata_vfio_plugin_t* plugin);

    /* Enforces policy, connects to QEMU, checks the live machine, remembers the sandbox, and gives
     * it the devices that its annotations (vgpu_type and the like, gpu) or the configuration ask
     * for: made or bound now, plugged now, or when its guest is started. They go with
     * sandbox_release, with QEMU and with the owner. One that can't be had fails the open, and the
     * sandbox is then not remembered. The result has `sandbox`. An id that is open already in this
     * plugin is refused; one that is remembered on disk is taken up with its attachments.
     * [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*sandbox_open)(kata_vfio_plugin_t* plugin,
                                       const kata_vfio_sandbox_options_t* options,
                                       kata_vfio_call_t* call);

    /* Lets the connection go; attachments and the remembered state stay. Cancels the sandbox's
     * running calls and waits for their callbacks. [any-thread], blocking; not from a callback.
     * NULL is allowed. */
    void (*sandbox_close)(kata_vfio_sandbox_t* sandbox);

    /* Gives everything back and forgets the sandbox: devices unplugged (or QEMU gone), vGPUs made
     * for it removed, drivers restored, claims dropped. What could not be given back is named in
     * the failure and stays remembered; call again. Works by id, without an open handle and after
     * QEMU died. An open handle of that id only serves to be closed afterwards.
     * [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*sandbox_release)(kata_vfio_plugin_t* plugin, kata_vfio_str_t sandbox_id,
                                          kata_vfio_call_t* call);

    /* Plugs a device, a whole IOMMU group, or a vGPU made for it; all or nothing.
     * [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*attach)(kata_vfio_sandbox_t* sandbox, const kata_vfio_attach_t* request,
                                 kata_vfio_call_t* call);

    /* Unplugs (proven by DEVICE_DELETED), then removes the vGPU or restores the driver if attach
     * made or bound it. `device`: any name the attachment has: as requested, BDF, UUID, node, qdev
     * id, or a type of which just one is attached. [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*detach)(kata_vfio_sandbox_t* sandbox, kata_vfio_str_t device,
                                 kata_vfio_call_t* call);

    /* The remembered sandboxes and attachments, of all sandboxes when `sandbox_id` is empty. Reads
     * files only; QEMU need not run. [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*list)(kata_vfio_plugin_t* plugin, kata_vfio_str_t sandbox_id,
                               kata_vfio_call_t* call);

    /* Asks a running call to end. It still finishes once: with KATA_VFIO_E_CANCELLED after its
     * steps were undone, or as it would have if it was past undoing. An unknown or finished ticket
     * is no error. [any-thread] [in-callback] */
    void (*cancel)(kata_vfio_plugin_t* plugin, uint64_t ticket);

    /* Waits until a call that was made without a callback is finished, and hands its result over.
     * timeout_ms < 0 waits for ever; when it runs out the status is KATA_VFIO_E_HOST_TIMEOUT,
     * *result is NULL and the call goes on. An unknown ticket is KATA_VFIO_E_INVALID_ARGUMENT.
     * Otherwise returns the call's own status. [any-thread], blocking; not from a callback. */
    kata_vfio_status_t (*wait)(kata_vfio_plugin_t* plugin, uint64_t ticket, int64_t timeout_ms,
                               kata_vfio_result_t** result);

    /* Frees a result of wait(). NULL is allowed. [any-thread] [in-callback] */
    void (*result_free)(kata_vfio_result_t* result);

    /* A status's stable snake_case name, NUL-terminated and static. [any-thread] [in-callback] */
    const char* (*status_name)(kata_vfio_status_t status);

    /* Since 1.1. Puts the host right after processes of ours, or QEMUs, have died: adopts what
     * still runs, gives back what does not, finishes removals that were pending, forgets sandboxes
     * whose QEMU is gone, drops claims of the dead, and moves files that can't be trusted into
     * quarantine. A vGPU or function that is not a sandbox's is never touched. One sandbox's
     * trouble stops no other's: each has its verdict in the result's json (docs/json.md), and the
     * call itself only fails when it could not look at all. An open handle of a sandbox that was
     * forgotten only serves to be closed afterwards. `options` may be NULL.
     * [any-thread] [in-callback], asynchronous. */
    kata_vfio_status_t (*reconcile)(kata_vfio_plugin_t* plugin,
                                    const kata_vfio_reconcile_t* options, kata_vfio_call_t* call);
} kata_vfio_entry_t;

/* Whether this host can use the table: same major version, and at least what 1.0 has. */
static inline int kata_vfio_compatible(const kata_vfio_entry_t* entry) {
    return entry && entry->abi_major == KATA_VFIO_ABI_MAJOR &&
           entry->struct_size >=
               offsetof(kata_vfio_entry_t, status_name) + sizeof(entry->status_name);
}

/* Blocking helper: attach, then wait. */
static inline kata_vfio_status_t kata_vfio_attach_and_wait(const kata_vfio_entry_t* entry,
                                                           kata_vfio_plugin_t* plugin,
                                                           kata_vfio_sandbox_t* sandbox,
                                                           const kata_vfio_attach_t* request,
                                                           kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = entry->attach(sandbox, request, &call);
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

/* Blocking helper: detach, then wait. */
static inline kata_vfio_status_t kata_vfio_detach_and_wait(const kata_vfio_entry_t* entry,
                                                           kata_vfio_plugin_t* plugin,
                                                           kata_vfio_sandbox_t* sandbox,
                                                           kata_vfio_str_t device,
                                                           kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = entry->detach(sandbox, device, &call);
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

/* Blocking helper: sandbox_open, then wait. */
static inline kata_vfio_status_t kata_vfio_open_and_wait(const kata_vfio_entry_t* entry,
                                                         kata_vfio_plugin_t* plugin,
                                                         const kata_vfio_sandbox_options_t* options,
                                                         kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = entry->sandbox_open(plugin, options, &call);
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

/* Blocking helper: sandbox_release, then wait. */
static inline kata_vfio_status_t kata_vfio_release_and_wait(const kata_vfio_entry_t* entry,
                                                            kata_vfio_plugin_t* plugin,
                                                            kata_vfio_str_t sandbox_id,
                                                            kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = entry->sandbox_release(plugin, sandbox_id, &call);
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

/* Blocking helper: list, then wait. */
static inline kata_vfio_status_t kata_vfio_list_and_wait(const kata_vfio_entry_t* entry,
                                                         kata_vfio_plugin_t* plugin,
                                                         kata_vfio_str_t sandbox_id,
                                                         kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = entry->list(plugin, sandbox_id, &call);
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

/* Blocking helper: reconcile, then wait. KATA_VFIO_E_ABI_MISMATCH from a plugin older than 1.1. */
static inline kata_vfio_status_t kata_vfio_reconcile_and_wait(const kata_vfio_entry_t* entry,
                                                              kata_vfio_plugin_t* plugin,
                                                              const kata_vfio_reconcile_t* options,
                                                              kata_vfio_result_t** result) {
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_status_t status = KATA_VFIO_HAS(entry, reconcile)
                                    ? entry->reconcile(plugin, options, &call)
                                    : KATA_VFIO_E_ABI_MISMATCH;
    *result = NULL;
    return status == KATA_VFIO_OK ? entry->wait(plugin, call.ticket, -1, result) : status;
}

#ifdef __cplusplus
}
#endif

#endif /* KATA_VFIO_H */
