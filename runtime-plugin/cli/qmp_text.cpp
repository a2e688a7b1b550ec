// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_text.hpp"

#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

#include <array>
#include <cstdio>
#include <ctime>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

void append_pretty(std::string& out, const json::value& value, std::size_t depth) {
    const auto line = [&](std::size_t level) { out += '\n' + std::string(2 * level, ' '); };
    const char* before = "";
    if (const auto* list = value.if_array(); list && !list->empty()) {
        out += '[';
        for (const auto& each : *list) {
            out += std::exchange(before, ",");
            line(depth + 1);
            append_pretty(out, each, depth + 1);
        }
        line(depth);
        out += ']';
    } else if (const auto* object = value.if_object(); object && !object->empty()) {
        out += '{';
        for (const auto& [key, member] : *object) {
            out += std::exchange(before, ",");
            line(depth + 1);
            out += json::serialize(json::string(key)) + ": ";
            append_pretty(out, member, depth + 1);
        }
        line(depth);
        out += '}';
    } else {
        out += json::serialize(value);
    }
}

} // namespace

std::string pretty_json(const json::value& value) {
    std::string out;
    append_pretty(out, value, 0);
    return out;
}

std::string event_text(const qemu::Event& event) {
    std::string out;
    const std::time_t seconds = event.seconds;
    std::tm utc{};
    if (event.seconds >= 0 && ::gmtime_r(&seconds, &utc)) {
        std::array<char, 64> text{};
        out.append(text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc));
        const int size = std::snprintf(text.data(), text.size(), ".%06dZ ",
                                       static_cast<int>(event.microseconds % 1000000));
        out.append(text.data(), static_cast<std::size_t>(size));
    }
    out += printable(event.name);
    if (!event.data.empty())
        out += " " + json::serialize(event.data);
    if (event.synthesised)
        out += " (synthesised)";
    return out + "\n";
}

Failure qemu_says(const qemu::QmpFailure& refused) {
    Failure failure(Errc::qemu_refused, refused.problem());
    failure.said(refused.verbatim());
    if (!refused.advice().empty())
        failure.remedy(refused.advice());
    return failure;
}

} // namespace kata_vfio::cli
