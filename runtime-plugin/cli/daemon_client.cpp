// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/daemon_client.hpp"

#include "mdev/uuid.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/plugin/outcome.hpp"

#include <atomic>
#include <exception>
#include <optional>
#include <thread>

namespace kata_vfio::cli {
namespace json = boost::json;

/// A call's end, set in the command's own thread.
struct DaemonClient::Ended {
    bool done = false;
    std::optional<Failure> failure;
    json::object answer;
};

DaemonClient::DaemonClient(const Arguments& arguments, Io& io)
    : watch_(arguments, io), daemon_(arguments) {}

json::object DaemonClient::call(const std::string& what, const std::string& method,
                                json::object request, bool changes) {
    watch_.begin(what);
    if (!changes)
        return wait_for(what, method, request, "");
    const auto id = mdev::Uuid::random().text();
    request["request_id"] = id;
    if (!watch_.shows_steps())
        return wait_for(what, method, request, id);

    // The steps of our call, from before it begins. Without them (a daemon that is not there) the
    // call itself tells what is wrong.
    bool ready = false;
    std::thread reader([&] {
        try {
            daemon_.steps([&](const json::object& event) {
                if (event.empty())
                    watch_.mailbox().post([&ready] { ready = true; });
                else if (string_at(event, "kind") == "step" && string_at(event, "request_id") == id)
                    watch_.mailbox().post([this, step = string_at(event, "text"),
                                           at = Progress::Clock::now()] { watch_.step(step, at); });
            });
        } catch (...) { // one that can't be read: the call does without steps
        }
        watch_.mailbox().post([&ready] { ready = true; });
    });
    std::optional<Failure> failure;
    json::object answer;
    try {
        watch_.wait(ready, [&] { daemon_.stop(); });
        if (watch_.cancelling())
            throw Failure(Errc::cancelled, what + " was cancelled before it began");
        answer = wait_for(what, method, request, id);
    } catch (...) {
        failure = plugin::failure_from(std::current_exception());
    }
    daemon_.stop();
    reader.join();
    watch_.mailbox().run();
    if (failure)
        throw Failure(*failure);
    return answer;
}

json::object DaemonClient::wait_for(const std::string& what, const std::string& method,
                                    const json::object& request, const std::string& request_id) {
    Ended ended;
    std::atomic<bool> answered = false;
    std::thread caller([&] {
        std::optional<Failure> failure;
        json::object answer;
        try {
            answer = daemon_.call(method, request);
        } catch (...) {
            failure = plugin::failure_from(std::current_exception());
        }
        answered = true;
        watch_.mailbox().post([&ended, failure, answer] {
            ended.failure = failure;
            ended.answer = answer;
            ended.done = true;
        });
    });
    watch_.wait(ended.done, [&] {
        if (request_id.empty())
            return;
        try { // the call itself goes on, and ends when what it did is undone
            // Calls overtake each other: one that is not under way yet will be, and one that has
            // ended is answered. Each round waits for the daemon.
            while (!answered &&
                   !flag_at(daemon_.call("Operations/Cancel", {{"request_id", request_id}}),
                            "running"))
                ;
        } catch (const std::exception&) { // its own end tells what is wrong
        }
    });
    caller.join();
    if (ended.failure) {
        watch_.failed(*ended.failure);
        throw Failure(*ended.failure);
    }
    watch_.succeeded(what);
    return std::move(ended.answer);
}

} // namespace kata_vfio::cli
