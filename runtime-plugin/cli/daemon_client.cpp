// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/daemon_client.hpp"

#include "config/base/failure.hpp"
#include "mdev/uuid.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/client/client_module.h"
#include "vfio/host_root.hpp"

#include <boost/json.hpp>
#include <dlfcn.h>

#include <cstdlib>
#include <optional>
#include <thread>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

const kata_vfio_client_module& load_client() {
    std::error_code ec;
    const auto exe = fs::read_symlink(vfio::HostRoot().proc("self/exe"), ec);
    const auto file = choose_client(::secure_getenv("KATA_VFIO_CLIENT"), exe.parent_path(),
                                    KATA_VFIO_LIBDIR, [](const fs::path& path) {
                                        std::error_code ignored;
                                        return fs::exists(path, ignored);
                                    });
    const char* const remedy = "install the service's client (kata_vfio_client.so), or leave "
                               "--daemon out";
    if (file.empty())
        throw Failure(Errc::host_io, "--daemon needs kata_vfio_client.so, which is not installed")
            .remedy(remedy);
    void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto* module =
        handle
            ? static_cast<const kata_vfio_client_module*>(::dlsym(handle, KATA_VFIO_CLIENT_SYMBOL))
            : nullptr;
    if (!module) {
        const char* words = ::dlerror();
        throw Failure(Errc::host_io, "can't load " + file).said(words ? words : "").remedy(remedy);
    }
    if (module->struct_size != sizeof *module ||
        std::string_view(module->version) != KATA_VFIO_VERSION)
        throw Failure(Errc::abi_mismatch, file + " is of another version than this command")
            .remedy("install both of one version");
    return *module;
}

const char* or_empty(const char* text) {
    return text ? text : "";
}

Failure failure_of(const json::object& error) {
    Failure failure(static_cast<Errc>(error.at("status").to_number<int>()),
                    string_at(error, "problem"));
    failure.said(string_at(error, "said"))
        .blocked_by(string_at(error, "blocker"))
        .remedy(string_at(error, "remedy"));
    if (const auto action = string_at(error, "action"); !action.empty())
        failure.during(action);
    return failure;
}

} // namespace

std::string choose_client(const char* env, const fs::path& exe_dir, const std::string& libdir,
                          const std::function<bool(const fs::path&)>& exists) {
    if (env && *env)
        return env;
    const auto prefix = exe_dir.parent_path();
    for (const auto& directory :
         {prefix / "lib", prefix / "lib/kata-vfio", prefix / libdir / "kata-vfio"})
        if (exists(directory / "kata_vfio_client.so"))
            return (directory / "kata_vfio_client.so").string();
    return {};
}

/// A call's end, set in the command's own thread.
struct DaemonClient::Ended {
    bool done = false;
    bool failed = false;
    json::object answer;
};

DaemonClient::DaemonClient(const Arguments& arguments, Io& io)
    : io_(io), watch_(arguments, io), module_(load_client()),
      client_(module_.open(arguments.daemon.c_str(), or_empty(::secure_getenv("KATA_VFIO_TLS_CA")),
                           or_empty(::secure_getenv("KATA_VFIO_TLS_CERTIFICATE")),
                           or_empty(::secure_getenv("KATA_VFIO_TLS_KEY")))) {
    if (!client_)
        throw Failure(Errc::invalid_argument, "a TLS file can't be read")
            .remedy("see KATA_VFIO_TLS_CA, KATA_VFIO_TLS_CERTIFICATE and KATA_VFIO_TLS_KEY");
}

DaemonClient::~DaemonClient() {
    module_.close(client_);
}

json::object DaemonClient::call(const std::string& what, const std::string& method,
                                json::object request, bool changes) {
    watch_.begin(what);
    if (!changes)
        return wait_for(what, method, json::serialize(request), "");
    const auto id = mdev::Uuid::random().text();
    request["request_id"] = id;
    if (!watch_.shows_steps())
        return wait_for(what, method, json::serialize(request), id);

    // The steps of our call, from before it begins. Without them (a daemon that is not there) the
    // call itself tells what is wrong.
    struct Steps {
        CallWatch& watch;
        const std::string& id;
        bool ready = false;
    } steps{watch_, id};
    std::thread reader([&] {
        const auto message = [](void* self, const char* text, size_t length) {
            auto& to = *static_cast<Steps*>(self);
            const auto event = json::parse({text, length}).as_object();
            if (event.empty())
                return to.watch.mailbox().post([&to] { to.ready = true; });
            if (string_at(event, "kind") == "step" && string_at(event, "request_id") == to.id)
                to.watch.mailbox().post([&to, step = string_at(event, "text"),
                                         at = Progress::Clock::now()] { to.watch.step(step, at); });
        };
        module_.steps(client_, message, &steps);
        watch_.mailbox().post([&steps] { steps.ready = true; });
    });
    std::optional<Failure> failure;
    json::object answer;
    try {
        watch_.wait(steps.ready, [&] { module_.stop(client_); });
        answer = wait_for(what, method, json::serialize(request), id);
    } catch (const Failure& failed) {
        failure = failed;
    }
    module_.stop(client_);
    reader.join();
    watch_.mailbox().run();
    if (failure)
        throw Failure(*failure);
    return answer;
}

json::object DaemonClient::wait_for(const std::string& what, const std::string& method,
                                    const std::string& request, const std::string& request_id) {
    Ended ended;
    struct Told {
        Mailbox& mailbox;
        Ended& ended;
    } told{watch_.mailbox(), ended};
    const auto answer = [](void* self, int failed, const char* text, size_t length) {
        auto& to = *static_cast<Told*>(self);
        to.mailbox.post(
            [&ended = to.ended, failed, object = json::parse({text, length}).as_object()] {
                ended.failed = failed != 0;
                ended.answer = object;
                ended.done = true;
            });
    };
    std::thread caller([&] {
        module_.call(client_, method.c_str(), request.data(), request.size(), answer, &told);
    });
    watch_.wait(ended.done, [&] {
        // The call itself goes on, and ends when what it did is undone.
        const auto cancel = json::serialize(json::object{{"request_id", request_id}});
        const auto ignored = [](void*, int, const char*, size_t) {};
        if (!request_id.empty())
            module_.call(client_, "Operations/Cancel", cancel.data(), cancel.size(), ignored,
                         nullptr);
    });
    caller.join();
    if (ended.failed) {
        auto failure = failure_of(ended.answer);
        watch_.failed(failure);
        throw Failure(failure);
    }
    watch_.succeeded(what);
    return std::move(ended.answer);
}

} // namespace kata_vfio::cli
