// SPDX-License-Identifier: Apache-2.0
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/command/commands.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/task/service.hpp"
#include "runtime-plugin/shim/vm/privileges.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;
namespace {

/// Until Shutdown, or a signal that asks for the end; then everything in its order.
awaitable<void> live(asio::io_context& io, ttrpc::Server& server, Service& service,
                     Publisher& publisher, const Place& place) {
    using namespace asio::experimental::awaitable_operators;
    asio::signal_set signals(io, SIGTERM, SIGINT);
    co_await (service.over().wait() || signals.async_wait(asio::use_awaitable));
    server.stop_accepting();
    co_await service.stop();
    co_await publisher.flush(milliseconds(2000));
    // The answer to Shutdown is on its way; its client then closes the connection.
    for (int i = 0; i < 50 && !server.idle(); ++i) {
        asio::steady_timer timer(io, milliseconds(10));
        co_await timer.async_wait(asio::use_awaitable);
    }
    place.remove();
    io.stop();
}

} // namespace

int serve(const Serving& serving, const vfio::HostRoot& root) {
    try {
        keep_shim_capabilities();
        asio::io_context io(1);
        const Place place(root, serving.containerd_namespace, serving.sandbox_id);
        Publisher publisher(io, serving.containerd_ttrpc, serving.containerd_namespace);
        Sandbox sandbox(io, root, place, serving.config_path);
        Service service(io, publisher, sandbox);
        ttrpc::Server server(io, UniqueFd(serving.listener),
                             [&](const std::string& name, const std::string& method) {
                                 return service.find(name, method);
                             });
        asio::co_spawn(io, live(io, server, service, publisher, place),
                       [](const std::exception_ptr& error) {
                           if (error)
                               std::rethrow_exception(error);
                       });
        io.run();
        return 0;
    } catch (const std::exception& error) {
        log_error("the shim ends", {{"error", error.what()}});
        return 1;
    }
}

} // namespace kata_vfio::shim
