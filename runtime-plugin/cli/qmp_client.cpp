// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_client.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/daemon_qmp.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <utility>

namespace kata_vfio::cli {
namespace asio = boost::asio;
namespace {

/// So that a cancellation is a Failure, not Asio's own exception.
template <class Result>
asio::awaitable<Result> as_failure(asio::awaitable<Result> operation) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return co_await std::move(operation);
}

/// The socket is there while a process has the sandbox open, and each call of this command closes
/// it again at its end: then the sandbox's own monitor is free.
Failure no_proxy(const std::string& id, const std::filesystem::path& directory) {
    std::string own = "PATH";
    try {
        if (const auto state = plugin::load_state(directory))
            own = state->qmp_socket;
    } catch (const Failure&) { // damaged: that is for the verbs that need it
    }
    return Failure(Errc::monitor_missing, "sandbox " + id + " has no QMP proxy")
        .blocked_by("a proxy is there while a process keeps the sandbox open (a runtime with the "
                    "plugin; no kata-vfio call does) and only with qmp_proxy switched on")
        .remedy(
            "while none keeps it open its monitor is free: kata-vfio qmp --socket " + own +
            " (events likewise); where a runtime does, set qmp_proxy = \"read-only\" (or "
            "\"unsafe\") in [vfio] and have it open the sandbox again, or name a second monitor "
            "of that QEMU");
}

} // namespace

std::string qmp_socket(const Arguments& arguments) {
    if (!arguments.socket.empty())
        return std::filesystem::absolute(arguments.socket).string();
    if (arguments.sandbox.empty())
        throw Failure(Errc::invalid_argument, "no sandbox and no socket is named")
            .remedy("give the sandbox's ID, or --socket PATH for any QMP socket");
    const auto id = plugin::require_sandbox_id(arguments.sandbox);
    const auto directory = open_host(arguments).state.sandbox(id);
    std::error_code ignored;
    if (!std::filesystem::exists(directory, ignored))
        throw Failure(Errc::sandbox_not_found, "sandbox " + id + " is not known here")
            .remedy("kata-vfio list shows those that are; --socket PATH names any QMP socket");
    const auto path = directory / "qmp.sock";
    if (!std::filesystem::exists(path, ignored))
        throw no_proxy(id, directory);
    return path.string();
}

struct QmpClient::Socket : QmpPeer {
    explicit Socket(std::shared_ptr<qemu::Session> s) : session(std::move(s)) {}

    asio::awaitable<boost::json::value> execute(qemu::Command command) override {
        return session->execute(std::move(command));
    }
    void on_event(qemu::EventHandler handler) override { session->on_event(std::move(handler)); }
    std::optional<Failure> lost() const override { return session->lost(); }
    std::string qemu_version() const override { return session->greeting().version(); }

    std::shared_ptr<qemu::Session> session;
};

QmpClient::QmpClient(const std::string& path) : signals_(loop_, SIGINT, SIGTERM) {
    await_signal();
    connect(path);
}

QmpClient::QmpClient(const Arguments& arguments) : signals_(loop_, SIGINT, SIGTERM) {
    await_signal();
    if (arguments.daemon.empty()) {
        connect(qmp_socket(arguments));
        return;
    }
    if (!arguments.socket.empty())
        throw Failure(Errc::invalid_argument, "--socket is a socket of this host's")
            .remedy("leave --daemon out, or name the sandbox");
    if (arguments.sandbox.empty())
        throw Failure(Errc::invalid_argument, "no sandbox is named").remedy("give its ID");
    auto daemon = std::make_unique<DaemonQmp>(loop_, arguments);
    (void)wait_for(daemon->connect());
    peer_ = std::move(daemon);
}

QmpClient::~QmpClient() = default;

void QmpClient::connect(const std::string& path) {
    qemu::Timeouts patient;
    patient.query = patient.device_del = patient.device_add;
    peer_ = std::make_unique<Socket>(wait_for(qemu::Session::connect(path, patient)));
}

void QmpClient::await_signal() {
    signals_.async_wait([this](boost::system::error_code error, int) {
        if (error)
            return;
        signalled_ = true;
        await_signal();
    });
}

QmpClient::Ended QmpClient::run_until(const std::function<bool()>& done, Deadline deadline) {
    while (!done()) {
        if (std::exchange(signalled_, false))
            return Ended::signal;
        if (!deadline)
            loop_.run_one();
        else if (loop_.run_one_until(*deadline) == 0 &&
                 std::chrono::steady_clock::now() >= *deadline)
            return Ended::deadline;
    }
    return Ended::done;
}

template <class Result>
Result QmpClient::wait_for(asio::awaitable<Result> operation) {
    std::optional<Result> result;
    std::exception_ptr error;
    bool done = false;
    asio::cancellation_signal cancel;
    auto finished = [&](std::exception_ptr e, Result value) {
        error = e;
        result = std::move(value);
        done = true;
    };
    asio::co_spawn(loop_, as_failure(std::move(operation)),
                   asio::bind_cancellation_slot(cancel.slot(), std::move(finished)));
    const auto is_done = [&] { return done; };
    while (run_until(is_done) == Ended::signal)
        cancel.emit(asio::cancellation_type::terminal);
    if (error)
        std::rethrow_exception(error);
    return std::move(*result);
}

boost::json::value QmpClient::execute(qemu::Command command) {
    const auto name = command.name;
    std::optional<Failure> refused;
    try {
        return wait_for(peer_->execute(std::move(command)));
    } catch (const qemu::QmpFailure& failure) {
        refused = qemu_says(failure);
        if (failure.error_class() != "CommandNotFound")
            throw Failure(*refused);
    } catch (const Failure& failure) {
        if (failure.code() != Errc::qemu_refused)
            throw;
        refused = failure; // by the daemon, which does not tell the class
    }
    throw with_the_nearest(*refused, name);
}

Failure QmpClient::with_the_nearest(Failure refused, const std::string& command) {
    std::vector<std::string> names;
    try {
        const auto commands = wait_for(peer_->execute(qemu::Command("query-commands")));
        for (const auto& each : commands.as_array())
            names.emplace_back(each.at("name").as_string());
    } catch (const std::exception&) { // gone, or none that tells: the refusal is what counts
        return refused;
    }
    if (std::ranges::find(names, command) != names.end())
        return refused; // it has it, and does not let it pass
    const auto meant = nearest(command, names);
    return refused.remedy(meant.empty() ? "query-commands lists those that it has"
                                        : "did you mean " + meant + "?");
}

} // namespace kata_vfio::cli
