// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/oci/seccomp_profile.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/agent/protocol/json_reader.hpp"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace kata_vfio::shim::oci {
namespace json = boost::json;
using agent::JsonReader;
using agent::ProtocolError;
namespace {

template <std::size_t N>
std::uint32_t known(const std::array<std::pair<std::string_view, std::uint32_t>, N>& names,
                    std::string_view name, const char* what) {
    const auto* found =
        std::ranges::find(names, name, &std::pair<std::string_view, std::uint32_t>::first);
    if (found == names.end())
        throw ProtocolError(std::string("linux.seccomp: ") + what + " " + quoted(name) +
                            " is not known here");
    return found->second;
}

SeccompAction action_of(const std::string& name, const JsonReader& in, std::string_view number) {
    constexpr std::array<std::pair<std::string_view, std::uint32_t>, 8> actions{{
        {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
        {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
        {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
        {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
        {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
        {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
        {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    }};
    if (name == "SCMP_ACT_NOTIFY")
        throw ProtocolError("linux.seccomp: SCMP_ACT_NOTIFY is not supported: its listener is a "
                            "program of the host, which can't answer for a guest's processes");
    const auto action = known(actions, name, "action");
    if (action != SECCOMP_RET_ERRNO && action != SECCOMP_RET_TRACE)
        return action;
    return action | (in.has(number) ? static_cast<std::uint32_t>(in.number(number, 0xffff))
                                    : std::uint32_t{EPERM});
}

std::uint32_t flag_of(const std::string& name) {
    constexpr std::array<std::pair<std::string_view, std::uint32_t>, 3> flags{{
        {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    }};
    return known(flags, name, "flag");
}

} // namespace

SeccompProfile parse_seccomp(const json::object& seccomp) {
    const JsonReader in(seccomp);
    SeccompProfile profile;
    profile.default_action = action_of(in.needed_text("defaultAction", 64), in, "defaultErrnoRet");
    profile.architectures = in.texts("architectures");
    for (const auto& flag : in.texts("flags"))
        profile.flags |= flag_of(flag);
    in.each_object("syscalls", [&](const json::object& item) {
        const JsonReader entry(item);
        SeccompRule rule;
        rule.names = entry.texts("names");
        rule.action = action_of(entry.needed_text("action", 64), entry, "errnoRet");
        entry.each_object("args", [&](const json::object& part) {
            const JsonReader condition(part);
            rule.conditions.push_back({static_cast<std::uint32_t>(condition.number("index", 5)),
                                       condition.number("value", UINT64_MAX),
                                       condition.number("valueTwo", UINT64_MAX),
                                       condition.needed_text("op", 64)});
        });
        profile.rules.push_back(std::move(rule));
    });
    return profile;
}

} // namespace kata_vfio::shim::oci
