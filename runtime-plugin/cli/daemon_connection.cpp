// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/daemon_connection.hpp"

#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/client/client_module.h"
#include "vfio/host_root.hpp"

#include <boost/json.hpp>
#include <dlfcn.h>

#include <cstdlib>
#include <exception>
#include <string_view>

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

/// QEMU's words may be in it, which nest deeper than Boost.JSON takes unasked.
json::object parse(const char* text, size_t length) {
    json::parse_options options;
    options.max_depth = 1024 + 16;
    return json::parse({text, length}, {}, options).as_object();
}

/// How a call or a stream has ended.
struct Ended {
    bool failed = false;
    json::object answer;

    static void take(void* self, int failed, const char* text, size_t length) {
        auto& ended = *static_cast<Ended*>(self);
        ended.failed = failed != 0;
        ended.answer = parse(text, length);
    }
    json::object result() {
        if (failed)
            throw failure_of(answer);
        return std::move(answer);
    }
};

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

DaemonConnection::DaemonConnection(const Arguments& arguments)
    : module_(load_client()),
      client_(module_.open(arguments.daemon.c_str(), or_empty(::secure_getenv("KATA_VFIO_TLS_CA")),
                           or_empty(::secure_getenv("KATA_VFIO_TLS_CERTIFICATE")),
                           or_empty(::secure_getenv("KATA_VFIO_TLS_KEY")))) {
    if (!client_)
        throw Failure(Errc::invalid_argument, "a TLS file can't be read")
            .remedy("see KATA_VFIO_TLS_CA, KATA_VFIO_TLS_CERTIFICATE and KATA_VFIO_TLS_KEY");
}

DaemonConnection::~DaemonConnection() {
    module_.close(client_);
}

json::object DaemonConnection::call(const std::string& method, const json::object& request) {
    const auto text = json::serialize(request);
    Ended ended;
    module_.call(client_, method.c_str(), text.data(), text.size(), &Ended::take, &ended);
    return ended.result();
}

void DaemonConnection::steps(const Message& message) {
    const auto take = [](void* self, const char* text, size_t length) {
        (*static_cast<const Message*>(self))(parse(text, length));
    };
    Message tell = message;
    module_.steps(client_, take, &tell);
}

void DaemonConnection::stream(const std::string& method, const json::object& request,
                              const Message& message) {
    struct Stream {
        const Message& message;
        Ended ended;
    } stream{message, {}};
    const auto take = [](void* self, const char* text, size_t length) {
        static_cast<Stream*>(self)->message(parse(text, length));
    };
    const auto end = [](void* self, int failed, const char* text, size_t length) {
        Ended::take(&static_cast<Stream*>(self)->ended, failed, text, length);
    };
    const auto text = json::serialize(request);
    module_.stream(client_, method.c_str(), text.data(), text.size(), take, end, &stream);
    (void)stream.ended.result();
}

void DaemonConnection::stop() {
    module_.stop(client_);
}

} // namespace kata_vfio::cli
