// SPDX-License-Identifier: Apache-2.0
// libkata_vfio.so for a host in C++20: the handles end themselves, failures are exceptions, and a
// std::stop_token cancels. A header to copy; it needs kata_vfio.h and libdl.
#pragma once

#include "kata_vfio.h"

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlfcn.h>

namespace katavfio {

/// A call that failed. what() is the whole text; the parts may be empty.
class Error : public std::runtime_error {
  public:
    Error(kata_vfio_status_t which, const std::string& message)
        : std::runtime_error(message), status(which) {}

    kata_vfio_status_t status;
    std::string problem, said, blocker, remedy;
};

/// One device in one sandbox.
struct Attachment {
    std::string device;        ///< as it was asked for
    std::string id;            ///< QEMU's
    std::string host_address;  ///< BDF of the function, or of the vGPU's parent
    std::string uuid;          ///< of a vGPU
    std::string guest_address; ///< "0000:00:0f.0"; empty while it waits for the guest's start
    std::int32_t iommu_group = -1;
};

/// All of a result that a host wants to keep: the ABI's own ends with the callback.
struct Outcome {
    kata_vfio_sandbox_t* sandbox = nullptr;
    std::vector<Attachment> attachments;
    std::string json; ///< docs/json.md
};

inline std::string text(kata_vfio_str_t view) {
    return view.len == 0 ? std::string() : std::string(view.ptr, view.len);
}

inline kata_vfio_str_t view(std::string_view text) {
    return {text.data(), text.size()};
}

/// The library, found once and never unloaded (which would be a no-op). [any-thread]
class Library {
  public:
    /// Throws std::runtime_error when it can't be loaded or is of another ABI.
    explicit Library(const std::string& path) {
        void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library)
            throw std::runtime_error(::dlerror());
        entry_ = static_cast<const kata_vfio_entry_t*>(::dlsym(library, KATA_VFIO_ENTRY_SYMBOL));
        if (!kata_vfio_compatible(entry_))
            throw std::runtime_error(path + " is not a kata-vfio plugin of ABI " +
                                     std::to_string(KATA_VFIO_ABI_MAJOR) + ".x");
    }

    const kata_vfio_entry_t* operator->() const noexcept { return entry_; }
    const kata_vfio_entry_t& operator*() const noexcept { return *entry_; }

  private:
    const kata_vfio_entry_t* entry_ = nullptr;
};

namespace detail {

/// How a call ended, in plain values: an exception is made by the thread that it is thrown on, and
/// none is shared with the plugin's thread.
struct Ended {
    kata_vfio_status_t status = KATA_VFIO_OK;
    std::string message, problem, said, blocker, remedy;
    Outcome outcome;
};

inline Ended ended_of(const kata_vfio_result_t& result) {
    Ended ended;
    ended.status = result.status;
    ended.message = text(result.message);
    ended.problem = text(result.problem);
    ended.said = text(result.said);
    ended.blocker = text(result.blocker);
    ended.remedy = text(result.remedy);
    ended.outcome.sandbox = result.sandbox;
    ended.outcome.json = text(result.json);
    for (std::size_t i = 0; i < result.attachment_count; ++i) {
        const auto& one = *result.attachments[i];
        ended.outcome.attachments.push_back({text(one.device), text(one.id), text(one.host_address),
                                             text(one.uuid), text(one.guest_address),
                                             one.iommu_group});
    }
    return ended;
}

/// What the callback owns. It is called exactly once for each call that returned OK, so it is
/// the one that frees; and the promise outlives the waiter, who may be gone first.
struct Waiting {
    std::promise<Ended> promise;

    static void finished(void* user_data, const kata_vfio_result_t* result) noexcept {
        const std::unique_ptr<Waiting> self(static_cast<Waiting*>(user_data));
        // Nothing may throw into the plugin; what is left to throw is bad_alloc.
        try {
            self->promise.set_value(ended_of(*result));
        } catch (...) {
            self->promise.set_exception(std::current_exception());
        }
    }
};

/// `submit(kata_vfio_call_t*)` begins the call; waits for its end. A stop cancels it, and what
/// comes then is the call's own end: Error(KATA_VFIO_E_CANCELLED) with everything undone, or
/// success when it was past undoing.
template <class Submit>
Outcome call(const kata_vfio_entry_t& entry, kata_vfio_plugin_t* plugin,
             const std::stop_token& stop, const Submit& submit) {
    auto waiting = std::make_unique<Waiting>();
    auto end = waiting->promise.get_future();
    kata_vfio_call_t request = KATA_VFIO_INIT(request);
    request.callback = &Waiting::finished;
    request.user_data = waiting.get();
    if (const auto status = submit(&request); status != KATA_VFIO_OK)
        throw Error(status, entry.status_name(status));
    (void)waiting.release(); // the callback's, which may have had it already
    const std::stop_callback on_stop(stop, [&] { entry.cancel(plugin, request.ticket); });
    auto ended = end.get();
    if (ended.status == KATA_VFIO_OK)
        return std::move(ended.outcome);
    Error error(ended.status, std::string(entry.status_name(ended.status)) + ": " + ended.message);
    error.problem = std::move(ended.problem);
    error.said = std::move(ended.said);
    error.blocker = std::move(ended.blocker);
    error.remedy = std::move(ended.remedy);
    throw error;
}

} // namespace detail

/// An open sandbox. Its end lets go of the connection; attachments stay (see Plugin::release).
/// Must end before its Plugin. Calls are [any-thread], and wait.
class Sandbox {
  public:
    Sandbox(const kata_vfio_entry_t& entry, kata_vfio_plugin_t* plugin, kata_vfio_sandbox_t* handle)
        : entry_(&entry), plugin_(plugin), handle_(handle, entry.sandbox_close) {}

    /// `device`: /dev/vfio/N, a BDF, a UUID, or TYPE[@PARENT] for a vGPU to be made.
    std::vector<Attachment> attach(std::string_view device, const std::stop_token& stop = {}) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(device);
        return detail::call(*entry_, plugin_, stop,
                            [&](kata_vfio_call_t* call) {
                                return entry_->attach(handle_.get(), &request, call);
                            })
            .attachments;
    }

    std::vector<Attachment> detach(std::string_view device, const std::stop_token& stop = {}) {
        return detail::call(*entry_, plugin_, stop,
                            [&](kata_vfio_call_t* call) {
                                return entry_->detach(handle_.get(), view(device), call);
                            })
            .attachments;
    }

  private:
    const kata_vfio_entry_t* entry_;
    kata_vfio_plugin_t* plugin_;
    std::unique_ptr<kata_vfio_sandbox_t, void (*)(kata_vfio_sandbox_t*)> handle_;
};

/// The plugin with its configuration read and its threads running. Calls are [any-thread], and
/// wait. Its end cancels what runs; attachments stay.
class Plugin {
  public:
    /// Level (KATA_VFIO_LOG_*) and one line. Called on the plugin's thread: be quick, don't throw.
    using Log = std::function<void(std::int32_t, std::string_view)>;

    Plugin(Library library, std::string_view config_path, std::string_view host_root = {},
           Log log = {})
        : library_(library), log_(std::make_unique<Log>(std::move(log))) {
        kata_vfio_host_t host = KATA_VFIO_INIT(host);
        host.user_data = log_.get();
        if (*log_)
            host.log = [](void* user_data, std::int32_t level, kata_vfio_str_t line) {
                (*static_cast<Log*>(user_data))(level, {line.ptr, line.len});
            };
        kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
        options.config_path = view(config_path);
        options.host_root = view(host_root);
        char error[1024] = "";
        kata_vfio_plugin_t* handle = nullptr;
        const auto status = library_->plugin_open(&host, &options, &handle, error, sizeof error);
        if (status != KATA_VFIO_OK)
            throw Error(status, std::string(library_->status_name(status)) + ": " + error);
        handle_ = {handle, library_->plugin_close};
    }

    using Annotations = std::map<std::string, std::string>;

    /// An empty `qmp_socket`: a sandbox that was opened before, as it is remembered. `owner_pid`:
    /// the process whose end is the sandbox's, most often getpid(); 0: none.
    Sandbox open(std::string_view id, std::string_view qmp_socket = {},
                 const Annotations& annotations = {}, const std::stop_token& stop = {},
                 std::int64_t owner_pid = 0) {
        std::vector<kata_vfio_pair_t> pairs;
        for (const auto& [key, value] : annotations)
            pairs.push_back({view(key), view(value)});
        kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
        options.id = view(id);
        options.qmp_socket = view(qmp_socket);
        options.annotations = pairs.data();
        options.annotation_count = pairs.size();
        options.owner_pid = owner_pid;
        const auto outcome = call(stop, [&](kata_vfio_call_t* call) {
            return library_->sandbox_open(handle_.get(), &options, call);
        });
        return {*library_, handle_.get(), outcome.sandbox};
    }

    /// Gives back all that the sandbox has, and forgets it; QEMU need not live.
    void release(std::string_view id) {
        call({}, [&](kata_vfio_call_t* call) {
            return library_->sandbox_release(handle_.get(), view(id), call);
        });
    }

    /// Of all sandboxes when `id` is empty.
    std::vector<Attachment> list(std::string_view id = {}) {
        return call({},
                    [&](kata_vfio_call_t* call) {
                        return library_->list(handle_.get(), view(id), call);
                    })
            .attachments;
    }

    /// What processes that died have left is put right; the report (docs/json.md).
    std::string reconcile() {
        if (!KATA_VFIO_HAS(&*library_, reconcile))
            throw Error(KATA_VFIO_E_ABI_MISMATCH, "the plugin is older than ABI 1.1");
        return call({},
                    [&](kata_vfio_call_t* call) {
                        return library_->reconcile(handle_.get(), nullptr, call);
                    })
            .json;
    }

  private:
    template <class Submit>
    Outcome call(const std::stop_token& stop, const Submit& submit) {
        return detail::call(*library_, handle_.get(), stop, submit);
    }

    Library library_;
    std::unique_ptr<Log> log_; // outlives the handle, whose threads call it
    std::unique_ptr<kata_vfio_plugin_t, void (*)(kata_vfio_plugin_t*)> handle_{nullptr, nullptr};
};

} // namespace katavfio
