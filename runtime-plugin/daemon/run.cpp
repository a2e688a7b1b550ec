// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/run.hpp"

#include "config/load.hpp"
#include "config/validate.hpp"
#include "qemu/qmp/proxy/unix_listener.hpp"
#include "runtime-plugin/cli/plugin_library.hpp"
#include "runtime-plugin/daemon/core.hpp"
#include "runtime-plugin/daemon/grpc_log.hpp"
#include "runtime-plugin/daemon/listener.hpp"
#include "runtime-plugin/daemon/log.hpp"
#include "runtime-plugin/daemon/metrics_server.hpp"
#include "runtime-plugin/daemon/pool.hpp"
#include "runtime-plugin/daemon/scrape.hpp"
#include "runtime-plugin/daemon/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace {

std::string configuration_file(const Options& options) {
    if (!options.config.empty())
        return fs::absolute(options.config).string();
    return config::find(options.root, std::getenv("KATA_CONF_FILE")).string();
}

/// The listening socket: systemd's, or an own one.
class ApiSocket {
  public:
    ApiSocket(const std::string& path, const std::string& mode) {
        if (const int given = ::sd_listen_fds(1); given > 0) {
            if (::sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 1) <= 0)
                throw Failure(Errc::invalid_argument,
                              "systemd has given no listening unix stream socket");
            fd_ = SD_LISTEN_FDS_START;
            name_ = "systemd's socket";
            return;
        }
        std::error_code ignored;
        fs::create_directories(fs::path(path).parent_path(), ignored);
        // gRPC's clients take a full queue (EAGAIN) for a connection that is being made, and fail.
        own_.emplace(path, SOMAXCONN);
        const auto bits = static_cast<mode_t>(std::stoul(mode, nullptr, 8));
        if (bits != 0600 && ::chmod(path.c_str(), bits) != 0)
            throw host_failure(errno, "can't set the mode of " + path);
        fd_ = own_->fd();
        name_ = path;
    }
    int fd() const noexcept { return fd_; }
    const std::string& name() const noexcept { return name_; }

  private:
    std::optional<qemu::UnixListener> own_;
    int fd_ = -1;
    std::string name_;
};

class Daemon {
  public:
    explicit Daemon(const Options& options)
        : options_(options), signals_(loop_, SIGTERM, SIGINT, SIGHUP),
          core_(loop_, *cli::load_plugin(), configuration_file(options), options.root),
          socket_(options.socket.empty() ? settings().socket : options.socket,
                  settings().socket_mode),
          server_(core_) {}

    void run() {
        auto begin = [this]() -> asio::awaitable<void> { co_await start(); };
        asio::co_spawn(loop_, std::move(begin), [this](const std::exception_ptr& error) {
            if (error) {
                failed_ = error;
                end();
            }
        });
        loop_.run();
        if (failed_)
            std::rethrow_exception(failed_);
    }

  private:
    const config::Daemon& settings() const { return core_.configuration().vfio.daemon; }

    asio::awaitable<void> start() {
        await_signal();
        // Before anybody is served: what died with the last daemon is put right.
        PluginInstance::Started nobody_asks;
        auto report = co_await core_.reconcile("", false, std::move(nobody_asks));
        if (ending_) // by a signal meanwhile: nobody is served
            co_return;
        core_.tell(v1::Event::KIND_DAEMON_STARTED, nullptr,
                   [&](v1::Event& event) { *event.mutable_reconciled() = std::move(report); });
        const auto metrics = options_.metrics.empty() ? settings().metrics : options_.metrics;
        if (!metrics.empty())
            metrics_ =
                std::make_unique<MetricsServer>(loop_, metrics, [this] { return scrape(core_); });
        listener_ = std::make_unique<Listener>(
            loop_, socket_.fd(),
            [this](UniqueFd fd, const Listener::Peer& peer) { server_.take(std::move(fd), peer); });
        server_.serving(true);
        log(Level::info,
            "serving on " + socket_.name() +
                (server_.tcp_port() ? " and TCP port " + std::to_string(server_.tcp_port())
                                    : std::string()));
        ::sd_notify(0, "READY=1\nSTATUS=Serving");
    }

    void await_signal() {
        signals_.async_wait([this](boost::system::error_code error, int number) {
            if (error)
                return;
            if (number == SIGHUP)
                reload();
            else
                end();
            await_signal();
        });
    }

    void reload() {
        if (std::exchange(reloading_, true)) {
            again_ = true;
            return;
        }
        ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                     static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::steady_clock::now().time_since_epoch())
                                                .count()));
        auto work = [this]() -> asio::awaitable<void> { co_await core_.reload(); };
        asio::co_spawn(loop_, std::move(work), [this](const std::exception_ptr& error) {
            ::sd_notify(0, error ? "READY=1\nSTATUS=Serving with the earlier configuration: the "
                                   "new one is bad, see the log"
                                 : "READY=1\nSTATUS=Serving");
            reloading_ = false;
            if (end_wanted_)
                return end();
            if (std::exchange(again_, false))
                reload();
        });
    }

    void end() {
        // What a reload takes into use has to be there when the end lets it go.
        end_wanted_ = true;
        if (reloading_ || std::exchange(ending_, true))
            return;
        log(Level::info, "ending: what is attached stays");
        ::sd_notify(0, "STOPPING=1\nSTATUS=Waiting for calls under way");
        server_.serving(false);
        if (listener_)
            listener_->close();
        // A scrape asks the plugin, which the end lets go.
        if (metrics_)
            metrics_->close();
        auto work = [this]() -> asio::awaitable<void> {
            co_await core_.end(settings().drain);
            std::function<bool()> shutdown = [this] {
                server_.shutdown();
                return true;
            };
            co_await on_pool<bool>(core_.pool, std::move(shutdown));
        };
        asio::co_spawn(loop_, std::move(work), [this](const std::exception_ptr& error) {
            if (error && !failed_)
                failed_ = error;
            signals_.cancel();
            work_.reset();
        });
    }

    const Options& options_;
    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
    asio::signal_set signals_;
    Core core_;
    ApiSocket socket_;
    HandshakeCount handshakes_{
        [this](std::string_view reason) { core_.metrics.refused_connection(reason); }};
    Server server_;
    std::unique_ptr<MetricsServer> metrics_;
    std::unique_ptr<Listener> listener_;
    std::exception_ptr failed_;
    bool reloading_ = false, again_ = false, end_wanted_ = false, ending_ = false;
};

} // namespace

void run(const Options& options) {
    if (options.debug)
        log_debug_too();
    // A client that goes away is no reason to end.
    std::signal(SIGPIPE, SIG_IGN);
    ::umask(0077);
    take_grpc_log();
    Daemon daemon(options);
    daemon.run();
}

} // namespace kata_vfio::daemon
