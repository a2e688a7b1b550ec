// SPDX-License-Identifier: Apache-2.0
#include "config/daemon_keys.hpp"

namespace kata_vfio::config {

#define SLOT(member) [](Configuration& c) -> Slot { return &c.vfio.daemon.member; }

std::vector<Key> daemon_keys() {
    constexpr std::string_view t = "vfio.daemon", since = "kata-vfio 0.1";
    return {
        {.table = t,
         .name = "socket",
         .slot = SLOT(socket),
         .since = since,
         .doc = "The unix socket that kata-vfiod serves gRPC on. An own directory, since that of "
                "the state is closed to everybody. With systemd's socket activation the unit's "
                "ListenStream decides."},
        {.table = t,
         .name = "socket_mode",
         .slot = SLOT(socket_mode),
         .choices = {"0600", "0660", "0666"},
         .since = since,
         .doc = "Mode of the socket. Whoever can connect is still asked for by uid."},
        {.table = t,
         .name = "allowed_uids",
         .slot = SLOT(allowed_uids),
         .since = since,
         .doc = "Numbers of the users whose processes are served on the unix socket; none given: "
                "only the daemon's own, root. Whoever is served can give devices to sandboxes and "
                "rebind drivers, as root can."},
        {.table = t,
         .name = "tcp",
         .slot = SLOT(tcp),
         .since = since,
         .doc = "HOST:PORT to serve on by TLS with client certificates, besides the socket; empty: "
                "none. Needs all three tls_ keys."},
        {.table = t,
         .name = "tls_certificate",
         .slot = SLOT(tls_certificate),
         .since = since,
         .doc = "PEM file of the daemon's certificate, and of the chain to its CA."},
        {.table = t,
         .name = "tls_key",
         .slot = SLOT(tls_key),
         .since = since,
         .doc = "PEM file of its private key."},
        {.table = t,
         .name = "tls_client_ca",
         .slot = SLOT(tls_client_ca),
         .since = since,
         .doc = "PEM file of the CAs that sign clients' certificates: every client with one of "
                "these is served, so give it a CA of its own."},
        {.table = t,
         .name = "metrics",
         .slot = SLOT(metrics),
         .since = since,
         .doc = "Where Prometheus finds /metrics: HOST:PORT, or unix:PATH; empty: nowhere. Plain "
                "HTTP for whoever can connect: they see sandboxes' numbers, not their names."},
        {.table = t,
         .name = "drain",
         .slot = SLOT(drain),
         .unit = "ms",
         .min = 0,
         .max = 600000,
         .since = since,
         .doc = "How long calls that are under way may take to finish at the daemon's end; the "
                "rest is cancelled, and undone. 30 s is an unplug's limit of 20 s and some more; "
                "systemd's TimeoutStopSec must be above it."},
    };
}

#undef SLOT

} // namespace kata_vfio::config
