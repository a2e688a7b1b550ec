// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>
#include <stdint.h>

// Between kata-vfio and kata_vfio_client.so, which it loads for --daemon and which has gRPC in it.
// Both are of one build: a different `version` is refused. Texts are docs/json.md's, UTF-8.

extern "C" {

/// Called once, inside the call: `failed` is 0 with the response, 1 with docs/json.md's "error".
typedef void (*kata_vfio_client_answer)(void* user_data, int failed, const char* json,
                                        size_t length);
/// Of a stream: once per message.
typedef void (*kata_vfio_client_message)(void* user_data, const char* json, size_t length);

struct kata_vfio_client_module {
    uint32_t struct_size;
    const char* version; ///< of the build
    /// Connects when first needed. `address`: "unix:PATH" or "HOST:PORT"; TLS files for the latter
    /// are PEM paths, each may be "".
    void* (*open)(const char* address, const char* ca, const char* certificate, const char* key);
    /// After every call has returned.
    void (*close)(void* client);
    /// [any-thread] Blocks. `method`: "Devices/Attach". While steps() runs, answers when that has
    /// given all that the call did.
    void (*call)(void* client, const char* method, const char* request, size_t length,
                 kata_vfio_client_answer answer, void* user_data);
    /// [any-thread] Blocks: the steps of all calls (docs/service.md, Watch), after one message
    /// "{}" that says that nothing is missed from now on, until stop() or the connection's end.
    void (*steps)(void* client, kata_vfio_client_message message, void* user_data);
    /// [any-thread] Blocks: a stream ("Qmp/Events", "Qmp/Trace") until the daemon ends it, or
    /// stop(). Its end is told by `end`, with {} where it is none of a failure.
    void (*stream)(void* client, const char* method, const char* request, size_t length,
                   kata_vfio_client_message message, kata_vfio_client_answer end, void* user_data);
    /// [any-thread] Ends all that runs: calls are answered with the failure cancelled, and calls
    /// and streams begun from now on end so at once.
    void (*stop)(void* client);
};

/// The one symbol the module exports.
#define KATA_VFIO_CLIENT_SYMBOL "kata_vfio_client_module"
}
