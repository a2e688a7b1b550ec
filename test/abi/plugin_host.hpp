// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/abi/answer.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::abi_test {

/// An embedding host: one plugin instance, driven by the blocking forms unless a test says
/// otherwise. It keeps what the plugin logs and which steps it reports.
class PluginHost {
  public:
    /// Opens the plugin; throws std::runtime_error with the plugin's text when it is refused.
    PluginHost(const std::filesystem::path& config, const std::filesystem::path& root,
               std::uint32_t flags = 0);
    ~PluginHost();
    PluginHost(const PluginHost&) = delete;
    PluginHost& operator=(const PluginHost&) = delete;

    using Annotations = std::map<std::string, std::string>;
    Answer open(std::string_view id, std::string_view socket, const Annotations& annotations = {},
                std::int64_t owner = 0);
    Answer attach(kata_vfio_sandbox_t* sandbox, std::string_view device, std::string_view uuid = {},
                  std::uint32_t flags = 0);
    Answer detach(kata_vfio_sandbox_t* sandbox, std::string_view device);
    Answer list(std::string_view id = {});
    Answer release(std::string_view id);
    Answer reconcile(bool dry_run = false, std::string_view id = {});

    // The same, started only: the ticket, to be collected by wait().
    std::uint64_t start_open(std::string_view id, std::string_view socket,
                             const Annotations& annotations = {}, std::int64_t owner = 0);
    std::uint64_t start_attach(kata_vfio_sandbox_t* sandbox, std::string_view device,
                               std::string_view uuid = {}, std::uint32_t flags = 0);
    std::uint64_t start_detach(kata_vfio_sandbox_t* sandbox, std::string_view device);
    std::uint64_t start_list(std::string_view id = {});
    std::uint64_t start_release(std::string_view id);
    Answer wait(std::uint64_t ticket);
    void cancel(std::uint64_t ticket);

    /// Closed by ~PluginHost if not before.
    void close(kata_vfio_sandbox_t* sandbox);
    void close_plugin();

    kata_vfio_plugin_t* plugin() const { return plugin_; }
    /// The sandboxes open, the youngest last.
    const std::vector<kata_vfio_sandbox_t*>& handles() const { return open_; }
    std::vector<std::string> log() const;
    /// Of those the warnings and errors.
    std::vector<std::string> warnings() const;
    /// The texts of KATA_VFIO_EVENT_STEP so far.
    std::vector<std::string> steps() const;
    /// Blocks until a line with `part` in it has been logged, and gives it.
    std::string wait_log(std::string_view part);
    /// Blocks until the plugin has told that a sandbox's QEMU is gone.
    std::string wait_qemu_gone();
    /// Waits for a KATA_VFIO_EVENT_MONITOR with this in its text; its text.
    std::string wait_monitor(std::string_view part);
    /// The texts of all of those so far.
    std::vector<std::string> monitor_events() const;
    /// Runs `action` with the call's ticket in the event that tells of this step (a text that
    /// begins so): before the step is taken. An empty `step` ends it.
    void at_step(std::string step, std::function<void(std::uint64_t)> action);
    /// The call is cancelled there.
    void cancel_at(std::string step);

  private:
    static void on_log(void* self, std::int32_t level, kata_vfio_str_t line);
    static void on_event(void* self, const kata_vfio_event_t* event);

    kata_vfio_plugin_t* plugin_ = nullptr;
    std::vector<kata_vfio_sandbox_t*> open_;
    struct Heard;
    std::unique_ptr<Heard> heard_;
};

/// The text plugin_open refuses with, and its status.
struct Refusal {
    kata_vfio_status_t status = KATA_VFIO_OK;
    std::string text;
};
Refusal refused_open(const std::filesystem::path& config, const std::filesystem::path& root);

} // namespace kata_vfio::abi_test
