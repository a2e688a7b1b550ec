// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/command.hpp"

#include <boost/json/serialize.hpp>

namespace kata_vfio::qemu {
namespace json = boost::json;

Command query_status() {
    return Command("query-status");
}

Command query_pci() {
    return Command("query-pci");
}

Command qom_get(std::string path, std::string property) {
    json::object arguments;
    arguments["path"] = std::move(path);
    arguments["property"] = std::move(property);
    return Command("qom-get", std::move(arguments));
}

Command qom_list(std::string path) {
    json::object arguments;
    arguments["path"] = std::move(path);
    return Command("qom-list", std::move(arguments));
}

Command device_add(json::object arguments) {
    return Command("device_add", std::move(arguments), CommandClass::device_add);
}

Command device_del(std::string id) {
    json::object arguments;
    arguments["id"] = std::move(id);
    return Command("device_del", std::move(arguments), CommandClass::device_del);
}

Command getfd(UniqueFd fd, std::string name) {
    Command command("getfd", {{"fdname", std::move(name)}});
    command.fd = std::make_shared<const UniqueFd>(std::move(fd));
    return command;
}

Command add_fd(UniqueFd fd, std::int64_t fdset) {
    Command command("add-fd", {{"fdset-id", fdset}});
    command.fd = std::make_shared<const UniqueFd>(std::move(fd));
    return command;
}

std::string serialise(const Command& command, std::uint64_t id) {
    json::object message;
    message["execute"] = command.name;
    if (!command.arguments.empty())
        message["arguments"] = command.arguments;
    message["id"] = id;
    return json::serialize(message) + '\n';
}

Timeouts::Duration Timeouts::of(CommandClass cls) const noexcept {
    switch (cls) {
    case CommandClass::device_add:
        return device_add;
    case CommandClass::device_del:
        return device_del;
    case CommandClass::query:
        break;
    }
    return query;
}

} // namespace kata_vfio::qemu
