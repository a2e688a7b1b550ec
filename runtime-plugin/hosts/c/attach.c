/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest complete host: loads libkata_vfio.so, opens a sandbox, attaches one device by the
 * asynchronous form, lists, detaches by the blocking form, releases.
 *
 *   attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
 *
 * Prints the guest address. Exit status: 0, or the hundred of the failure's status (docs/errors.md).
 */
#include "kata_vfio.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static kata_vfio_str_t str(const char *text) {
    kata_vfio_str_t view = {text, strlen(text)};
    return view;
}

static void on_log(void *user_data, int32_t level, kata_vfio_str_t line) {
    (void)user_data;
    fprintf(stderr, "[%d] %.*s\n", (int)level, (int)line.len, line.ptr);
}

/* What the callback hands to the main thread. The result itself ends with the callback. */
struct ending {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    int done;
    kata_vfio_status_t status;
    char text[1024];
};

static void on_attached(void *user_data, const kata_vfio_result_t *result) {
    struct ending *ending = user_data;
    pthread_mutex_lock(&ending->mutex);
    ending->status = result->status;
    if (result->status == KATA_VFIO_OK && result->attachment_count > 0) {
        const kata_vfio_attachment_t *first = result->attachments[0];
        snprintf(ending->text, sizeof ending->text, "%.*s", (int)first->guest_address.len,
                 first->guest_address.ptr);
    } else {
        snprintf(ending->text, sizeof ending->text, "%.*s", (int)result->message.len,
                 result->message.ptr);
    }
    ending->done = 1;
    pthread_cond_signal(&ending->arrived);
    pthread_mutex_unlock(&ending->mutex);
}

/* Prints a failed result and frees it; returns the exit status. */
static int settle(const kata_vfio_entry_t *kv, kata_vfio_status_t status,
                  kata_vfio_result_t *result, const char *what) {
    if (status != KATA_VFIO_OK)
        fprintf(stderr, "%s: %s: %.*s\n", what, kv->status_name(status),
                result ? (int)result->message.len : 0, result ? result->message.ptr : "");
    kv->result_free(result);
    return (int)(status / 100);
}

static int use_sandbox(const kata_vfio_entry_t *kv, kata_vfio_plugin_t *plugin,
                       kata_vfio_sandbox_t *sandbox, const char *id, const char *device) {
    struct ending ending = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};
    kata_vfio_attach_t request = KATA_VFIO_INIT(request);
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    kata_vfio_result_t *result = NULL;
    kata_vfio_status_t status;
    int exit_status;

    request.device = str(device);
    call.callback = on_attached;
    call.user_data = &ending;
    status = kv->attach(sandbox, &request, &call);
    if (status != KATA_VFIO_OK)
        return settle(kv, status, NULL, "attach");

    pthread_mutex_lock(&ending.mutex);
    while (!ending.done)
        pthread_cond_wait(&ending.arrived, &ending.mutex);
    pthread_mutex_unlock(&ending.mutex);
    if (ending.status != KATA_VFIO_OK) {
        fprintf(stderr, "attach: %s: %s\n", kv->status_name(ending.status), ending.text);
        return (int)(ending.status / 100);
    }
    printf("%s\n", ending.text);
    fflush(stdout);

    status = kata_vfio_list_and_wait(kv, plugin, str(id), &result);
    if (status == KATA_VFIO_OK)
        fprintf(stderr, "attached: %zu\n", result->attachment_count);
    exit_status = settle(kv, status, result, "list");
    if (exit_status != 0)
        return exit_status;

    status = kata_vfio_detach_and_wait(kv, plugin, sandbox, str(device), &result);
    return settle(kv, status, result, "detach");
}

int main(int argc, char **argv) {
    kata_vfio_host_t host = KATA_VFIO_INIT(host);
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    kata_vfio_sandbox_options_t opening = KATA_VFIO_INIT(opening);
    const kata_vfio_entry_t *kv;
    kata_vfio_plugin_t *plugin = NULL;
    kata_vfio_sandbox_t *sandbox = NULL;
    kata_vfio_result_t *result = NULL;
    kata_vfio_status_t status;
    char error[1024];
    void *library;
    int exit_status;

    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: %s LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]\n", argv[0]);
        return 2;
    }
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    kv = dlsym(library, KATA_VFIO_ENTRY_SYMBOL);
    if (!kata_vfio_compatible(kv)) {
        fprintf(stderr, "%s is not a kata-vfio plugin of ABI %d.x\n", argv[1],
                KATA_VFIO_ABI_MAJOR);
        return 1;
    }

    host.log = on_log;
    options.config_path = str(argv[2]);
    if (argc == 7)
        options.host_root = str(argv[6]);
    status = kv->plugin_open(&host, &options, &plugin, error, sizeof error);
    if (status != KATA_VFIO_OK) {
        fprintf(stderr, "plugin_open: %s: %s\n", kv->status_name(status), error);
        return (int)(status / 100);
    }

    opening.id = str(argv[3]);
    opening.qmp_socket = str(argv[4]);
    /* Should this process die, reconcile gives back what it had. Of another root it can't be seen. */
    opening.owner_pid = argc == 7 ? 0 : (int64_t)getpid();
    status = kata_vfio_open_and_wait(kv, plugin, &opening, &result);
    sandbox = status == KATA_VFIO_OK ? result->sandbox : NULL;
    exit_status = settle(kv, status, result, "sandbox_open");
    if (sandbox) {
        exit_status = use_sandbox(kv, plugin, sandbox, argv[3], argv[5]);
        kv->sandbox_close(sandbox);
        result = NULL;
        status = kata_vfio_release_and_wait(kv, plugin, str(argv[3]), &result);
        if (settle(kv, status, result, "sandbox_release") != 0 && exit_status == 0)
            exit_status = (int)(status / 100);
    }
    kv->plugin_close(plugin);
    dlclose(library);
    return exit_status;
}
