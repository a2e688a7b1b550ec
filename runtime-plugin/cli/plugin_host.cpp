// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/plugin_host.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/load.hpp"
#include "runtime-plugin/cli/plugin_library.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace kata_vfio::cli {
namespace json = boost::json;

namespace {

/// The C ABI tells why a plugin did not open in one line. The same configuration, read here, is
/// refused in its parts: that is thrown, if it is the same refusal.
void throw_in_parts(const Arguments& arguments, const std::string& said) {
    try {
        (void)config::load(arguments.config.empty()
                               ? config::find(arguments.root, std::getenv("KATA_CONF_FILE"))
                               : std::filesystem::path(arguments.config));
    } catch (const Failure& refused) {
        if (refused.what() == said)
            throw;
    }
}

} // namespace

/// A call's end, copied out of the callback that told it.
struct PluginHost::Ended {
    explicit Ended(Mailbox& box) : mailbox(box) {}

    Mailbox& mailbox;
    bool done = false; ///< set in the command's own thread
    std::optional<Failure> failure;
    Answer answer;
    std::string json;
};

PluginHost::PluginHost(const Arguments& arguments, Io& io, Config config)
    : io_(io), verbose_(arguments.verbose), watch_(arguments, io), entry_(load_plugin()) {
    kata_vfio_host_t services = KATA_VFIO_INIT(services);
    services.user_data = this;
    services.log = on_log;
    services.event = on_event;
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    options.flags = config == Config::may_be_bad ? KATA_VFIO_PLUGIN_LATE_CONFIG : 0;
    options.config_path = view(arguments.config);
    options.host_root = view(arguments.root);
    std::array<char, 16384> text{};
    const auto status =
        entry_->plugin_open(&services, &options, &plugin_, text.data(), text.size());
    if (status == KATA_VFIO_OK)
        return;
    const auto code = static_cast<Errc>(status);
    const std::string said = text[0] ? text.data() : std::string(meaning(code));
    if (code == Errc::config_invalid)
        throw_in_parts(arguments, said);
    throw Failure(code, said);
}

PluginHost::~PluginHost() {
    entry_->plugin_close(plugin_);
    watch_.mailbox().run(); // what was logged meanwhile
}

Answer PluginHost::call(const std::string& what, const Start& start) {
    watch_.begin(what);
    ended_ = std::make_unique<Ended>(watch_.mailbox());
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    call.callback = on_done;
    call.user_data = ended_.get();
    if (const auto status = start(&call); status != KATA_VFIO_OK) {
        const auto code = static_cast<Errc>(status);
        throw Failure(code, what + ": the plugin did not take the call")
            .said(std::string(meaning(code)));
    }
    watch_.wait(ended_->done, [&] { entry_->cancel(plugin_, call.ticket); });
    if (ended_->failure) {
        watch_.failed(*ended_->failure);
        throw Failure(*ended_->failure);
    }
    watch_.succeeded(what);
    ended_->answer.json = json::parse(ended_->json).as_object();
    return std::move(ended_->answer);
}

void PluginHost::on_log(void* self, int32_t level, kata_vfio_str_t line) {
    auto* host = static_cast<PluginHost*>(self);
    if (level > KATA_VFIO_LOG_WARNING && !host->verbose_)
        return;
    host->watch_.mailbox().post([host, level, text = copy(line)] {
        // The plugin logs each step it announces: it has been shown.
        if (level >= KATA_VFIO_LOG_INFO && host->watch_.repeats_step(text))
            return;
        host->io_.err << "kata-vfio: " << printable(text) << '\n' << std::flush;
    });
}

void PluginHost::on_event(void* self, const kata_vfio_event_t* event) {
    auto* host = static_cast<PluginHost*>(self);
    host->watch_.mailbox().post([host, kind = event->kind, sandbox = copy(event->sandbox),
                                 text = copy(event->text), at = Progress::Clock::now()] {
        if (kind == KATA_VFIO_EVENT_STEP)
            host->watch_.step(text, at);
        else if (kind == KATA_VFIO_EVENT_QEMU_GONE)
            host->io_.err << "kata-vfio: the QEMU of sandbox " << sandbox
                          << " is gone: " << printable(text) << '\n'
                          << std::flush;
    });
}

void PluginHost::on_done(void* user_data, const kata_vfio_result_t* result) {
    auto& ended = *static_cast<Ended*>(user_data);
    ended.failure = failure_in(*result);
    ended.answer.sandbox = result->sandbox;
    ended.json = copy(result->json);
    ended.mailbox.post([&ended] { ended.done = true; });
}

} // namespace kata_vfio::cli
