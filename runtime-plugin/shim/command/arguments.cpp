// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/command/arguments.hpp"

#include "bootstrap.pb.h"
#include "config/base/text.hpp"
#include "options.pb.h"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <google/protobuf/any.pb.h>

#include <map>

namespace kata_vfio::shim {
using ttrpc::Code;
using ttrpc::Error;

Arguments parse_arguments(const std::vector<std::string>& words) {
    Arguments arguments;
    const std::map<std::string, std::string*, std::less<>> values{
        {"namespace", &arguments.containerd_namespace},
        {"address", &arguments.address},
        {"publish-binary", &arguments.publish_binary},
        {"id", &arguments.id},
        {"bundle", &arguments.bundle},
        {"socket", nullptr}, // of containerd 1.4, without a use since
    };
    if (words == std::vector<std::string>{"--man"}) { // for the packages, in no help
        arguments.action = Arguments::Action::man;
        return arguments;
    }
    std::size_t at = 0;
    for (; at < words.size() && words[at].starts_with('-'); ++at) {
        auto name = words[at].substr(words[at].starts_with("--") ? 2 : 1);
        if (name == "debug") {
            arguments.debug = true;
            continue;
        }
        if (name == "v" || name == "version") {
            arguments.action = Arguments::Action::version;
            return arguments;
        }
        if (name == "h" || name == "help")
            return arguments;
        std::string value;
        const auto equals = name.find('=');
        if (equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        }
        const auto known = values.find(name);
        if (known == values.end())
            throw Error(Code::invalid_argument, "unknown option " + quoted(words[at]));
        if (equals == std::string::npos) {
            if (++at == words.size())
                throw Error(Code::invalid_argument, "-" + name + " wants a value");
            value = words[at];
        }
        if (known->second)
            *known->second = value;
    }
    if (at + 1 != words.size())
        throw Error(Code::invalid_argument, "one action is wanted: start or delete");
    if (words[at] == "start")
        arguments.action = Arguments::Action::start;
    else if (words[at] == "delete")
        arguments.action = Arguments::Action::remove;
    else
        throw Error(Code::invalid_argument, "unknown action " + quoted(words[at]));
    for (const auto* needed : {"namespace", "id"})
        if (values.at(needed)->empty())
            throw Error(Code::invalid_argument, std::string("-") + needed + " is missing");
    return arguments;
}

namespace {

std::string config_path_in(const google::protobuf::Any& any) {
    runtimeoptions::v1::Options read;
    if (!any.type_url().ends_with("runtimeoptions.v1.Options") ||
        !read.ParseFromString(any.value()))
        return {};
    return read.config_path();
}

} // namespace

std::string config_path_of(const std::string& options) {
    // An Any has fields 1 and 2 alone, the parameters always their fifth.
    containerd::runtime::bootstrap::v1::BootstrapParams parameters;
    if (parameters.ParseFromString(options) && !parameters.containerd_ttrpc_address().empty()) {
        std::string found;
        for (const auto& extension : parameters.extensions())
            if (found.empty())
                found = config_path_in(extension.value());
        return found;
    }
    google::protobuf::Any any;
    return any.ParseFromString(options) ? config_path_in(any) : std::string();
}

} // namespace kata_vfio::shim
