// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/client.hpp"

#include "qemu/qmp/proxy/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

constexpr auto end_of_message = "\r\n";

ProxyError generic(std::string desc) {
    return {"GenericError", std::move(desc)};
}

ProxyError not_found(std::string desc) {
    return {"CommandNotFound", std::move(desc)};
}

std::string text_of(json::string_view text) {
    return {text.data(), text.size()};
}

/// What qmp_capabilities says to its arguments, nullopt when they are fine. It names a list's
/// element "null" where the type is right and the value is not.
std::optional<ProxyError> bad_capabilities(const json::object& arguments) {
    std::string unavailable;
    if (const auto* enable = arguments.if_contains("enable")) {
        const auto* list = enable->if_array();
        if (!list)
            return generic("Invalid parameter type for 'enable', expected: array");
        for (std::size_t i = 0; i < list->size(); ++i) {
            const auto* name = (*list)[i].if_string();
            if (!name)
                return generic("Invalid parameter type for 'enable[" + std::to_string(i) +
                               "]', expected: string");
            if (*name != "oob")
                return generic("Parameter 'null' does not accept value '" + text_of(*name) + "'");
            unavailable += unavailable.empty() ? "oob" : ", oob";
        }
    }
    for (const auto& [key, value] : arguments)
        if (key != "enable")
            return generic("Parameter '" + text_of(key) + "' is unexpected");
    if (!unavailable.empty())
        return generic("Capability " + unavailable + " not available");
    return std::nullopt;
}

/// JSON has no infinity, so such a number can't be sent on.
bool finite(const json::value& value) {
    if (const auto* number = value.if_double())
        return std::isfinite(*number);
    if (const auto* list = value.if_array())
        return std::all_of(list->begin(), list->end(), finite);
    if (const auto* object = value.if_object())
        return std::all_of(object->begin(), object->end(),
                           [](const auto& member) { return finite(member.value()); });
    return true;
}

/// QEMU takes the descriptor when the arguments are as its schema has them. Otherwise it would stay
/// in QEMU's monitor, which is all clients' and ours, for whoever sends the next getfd.
bool takes_fd(std::string_view command, const json::object& arguments) {
    if (command == "getfd") {
        const auto* name = arguments.if_contains("fdname");
        return arguments.size() == 1 && name && name->is_string();
    }
    return command == "add-fd" &&
           std::all_of(arguments.begin(), arguments.end(), [](const auto& member) {
               const auto& [key, value] = member;
               return key == "fdset-id" ? value.is_int64() : key == "opaque" && value.is_string();
           });
}

void append_times(std::string& out, const Event& event) {
    out += "{\"timestamp\": {\"seconds\": " + std::to_string(event.seconds) +
           ", \"microseconds\": " + std::to_string(event.microseconds) + "}";
}

} // namespace

ProxyClient::ProxyClient(const Greeting& version, ProxyPolicy policy, std::size_t max_unsent)
    : policy_(policy), max_unsent_(max_unsent) {
    std::string greeting =
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": " + std::to_string(version.micro) +
        ", \"minor\": " + std::to_string(version.minor) +
        ", \"major\": " + std::to_string(version.major) + "}, \"package\": ";
    append_qemu_string(greeting, version.package);
    send(greeting + "}, \"capabilities\": []}}");
}

std::optional<Command> ProxyClient::next() {
    while (!waiting_) {
        auto message = input_.next();
        if (!message)
            break;
        if (auto command = work(std::move(*message))) {
            waiting_ = true;
            return command;
        }
    }
    return std::nullopt;
}

/// The order of the checks is QEMU's (qmp_dispatch_check_obj), but that it goes through the members
/// in the order of a hash: with several at fault it may name another one of them.
std::optional<ProxyError> ProxyClient::check(const json::value& message) const {
    const auto* object = message.if_object();
    if (!object)
        return generic("QMP input must be a JSON object");
    for (const auto& [key, value] : *object) {
        if (key == "execute" && !value.is_string())
            return generic("QMP input member 'execute' must be a string");
        if (key == "arguments" && !value.is_object())
            return generic("QMP input member 'arguments' must be an object");
        if (key != "execute" && key != "arguments" && key != "id")
            return generic("QMP input member '" + text_of(key) + "' is unexpected");
    }
    if (!object->contains("execute"))
        return generic("QMP input lacks member 'execute'");
    return std::nullopt;
}

std::optional<Command> ProxyClient::work(ProxyMessage message) {
    const auto refuse = [&](ProxyError error) {
        reply(std::move(error), message.id);
        return std::nullopt;
    };
    if (message.error)
        return refuse(generic(*message.error));
    if (auto error = check(message.value))
        return refuse(std::move(*error));

    auto& object = message.value.get_object();
    auto name = text_of(object.at("execute").get_string());
    json::object arguments;
    if (auto* given = object.if_contains("arguments"))
        arguments = std::move(given->get_object());

    if (name == "qmp_capabilities") {
        reply(negotiate(arguments), message.id);
        return std::nullopt;
    }
    if (!negotiated_)
        return refuse(not_found("Expecting capabilities negotiation with 'qmp_capabilities'"));
    if (auto refusal = policy_.refusal(name))
        return refuse(not_found(std::move(*refusal)));
    if (!finite(arguments))
        return refuse(generic("a number in the arguments of " + name +
                              " is too large: the proxy passes on what a double can hold"));
    waiting_id_ = std::move(message.id);
    // The longest of the deadlines: what a person asks of QEMU may take its time.
    Command command(std::move(name), std::move(arguments), CommandClass::device_add);
    if (takes_fd(command.name, command.arguments))
        command.fd = std::move(message.fd);
    return command;
}

ProxyAnswer ProxyClient::negotiate(const json::object& arguments) {
    if (auto error = bad_capabilities(arguments))
        return std::move(*error);
    if (negotiated_)
        return not_found("Capabilities negotiation is already complete, command ignored");
    negotiated_ = true;
    return json::value(json::object());
}

void ProxyClient::answer(const ProxyAnswer& answer) {
    waiting_ = false;
    reply(answer, std::exchange(waiting_id_, std::nullopt));
}

void ProxyClient::event(const Event& event) {
    if (!negotiated_)
        return;
    std::string message;
    append_times(message, event);
    message += ", \"event\": ";
    append_qemu_string(message, event.name);
    if (!event.data.empty()) {
        message += ", \"data\": ";
        append_qemu_json(message, event.data);
    }
    // Not in QEMU's schema, so that nobody takes it for QEMU's own; clients skip what they don't
    // know.
    if (event.synthesised)
        message += ", \"synthesised\": true";
    send(message + "}");
}

void ProxyClient::reply(const ProxyAnswer& answer, const std::optional<std::string>& id) {
    std::string message = "{";
    if (const auto* error = std::get_if<ProxyError>(&answer)) {
        if (id)
            message += "\"id\": " + *id + ", ";
        message += "\"error\": {\"class\": ";
        append_qemu_string(message, error->error_class);
        message += ", \"desc\": ";
        append_qemu_string(message, error->desc);
        message += "}}";
    } else {
        message += "\"return\": ";
        append_qemu_json(message, std::get<json::value>(answer));
        if (id)
            message += ", \"id\": " + *id;
        message += "}";
    }
    send(message);
}

void ProxyClient::send(const std::string& message) {
    if (overrun_ || unsent().size() > max_unsent_) {
        overrun_ = true;
        return;
    }
    out_ += message;
    out_ += end_of_message;
}

void ProxyClient::sent(std::size_t bytes) {
    sent_ += bytes;
    // Not at each call: what is left would be moved each time.
    if (sent_ == out_.size() || sent_ > (64u << 10)) {
        out_.erase(0, sent_);
        sent_ = 0;
        if (out_.empty() && out_.capacity() > (64u << 10))
            out_.shrink_to_fit();
    }
}

} // namespace kata_vfio::qemu
