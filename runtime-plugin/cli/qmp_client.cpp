// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_client.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
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

QmpClient::QmpClient(const std::string& path) : signals_(loop_, SIGINT, SIGTERM) {
    await_signal();
    qemu::Timeouts patient;
    patient.query = patient.device_del = patient.device_add;
    session_ = wait_for(qemu::Session::connect(path, patient));
}

QmpClient::~QmpClient() = default;

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
    return wait_for(session_->execute(std::move(command)));
}

Failure QmpClient::explained(const qemu::QmpFailure& refused) {
    auto failure = qemu_says(refused);
    if (refused.error_class() != "CommandNotFound")
        return failure;
    std::vector<std::string> names;
    try {
        const auto commands = execute(qemu::Command("query-commands"));
        for (const auto& each : commands.as_array())
            names.emplace_back(each.at("name").as_string());
    } catch (const std::exception&) { // gone, or none that tells: the refusal is what counts
        return failure;
    }
    if (std::ranges::find(names, refused.command()) != names.end())
        return failure; // it has it, and does not let it pass
    const auto meant = nearest(refused.command(), names);
    return failure.remedy(meant.empty() ? "query-commands lists those that it has"
                                        : "did you mean " + meant + "?");
}

} // namespace kata_vfio::cli
