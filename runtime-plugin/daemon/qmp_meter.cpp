// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/qmp_meter.hpp"

#include "config/base/failure.hpp"
#include "qemu/qmp/frame.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <chrono>

namespace kata_vfio::daemon {
namespace json = boost::json;
namespace {

/// Of a connection that was lost, or a proxy's client that is: they are never answered.
constexpr std::size_t most_open = 1024;

} // namespace

void QmpMeter::read(boost::asio::io_context& loop,
                    const std::vector<std::pair<std::string, std::filesystem::path>>& sandboxes) {
    const std::lock_guard lock(reading_);
    std::erase_if(logs_, [&](const auto& each) {
        return std::none_of(sandboxes.begin(), sandboxes.end(),
                            [&](const auto& one) { return one.first == each.first; });
    });
    for (const auto& [id, log] : sandboxes) {
        auto& mine = logs_[id];
        if (!mine.tail) {
            v1::TraceRequest whole;
            whole.set_sandbox(id);
            try {
                mine.tail = std::make_shared<WireTail>(loop, log, whole, std::function<void()>());
            } catch (const Failure&) {
                continue; // qmp_log is off, or nothing has been written yet
            }
        }
        while (const auto record = mine.tail->next())
            take(id, *record);
    }
}

void QmpMeter::take(const std::string& sandbox, const v1::TraceRecord& record) {
    const bool sent = record.kind() == v1::TraceRecord::KIND_SENT;
    if ((!sent && record.kind() != v1::TraceRecord::KIND_RECEIVED) ||
        record.monotonic_us() < since_us_)
        return;
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = qemu::FrameLimits().max_depth + 1;
    const auto value = json::parse(record.text(), error, {}, options);
    const auto* message = error ? nullptr : value.if_object();
    const auto* id = message ? message->if_contains("id") : nullptr;
    if (!id)
        return; // an event, or a greeting
    auto& open = logs_[sandbox].sent;
    const std::pair key{record.connection(), json::serialize(*id)};
    if (sent) {
        const auto* command = message->if_contains("execute");
        if (command && command->is_string() && open.size() < most_open)
            open[key] = {std::string(command->get_string()), record.monotonic_us()};
        return;
    }
    const auto found = open.find(key);
    if (found == open.end())
        return;
    if (message->contains("return"))
        told_(found->second.first,
              std::chrono::microseconds(record.monotonic_us() - found->second.second));
    open.erase(found);
}

} // namespace kata_vfio::daemon
