// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/timeline.hpp"

#include "qemu/qmp/message.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <deque>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

constexpr std::size_t longest_value = 60;

const json::object* object_at(const json::value& value, std::string_view key) {
    const auto* object = value.if_object();
    const auto* member = object ? object->if_contains(key) : nullptr;
    return member ? member->if_object() : nullptr;
}

std::string text_at(const json::object* object, std::string_view key) {
    const auto* value = object ? object->if_contains(key) : nullptr;
    const auto* text = value ? value->if_string() : nullptr;
    return text ? std::string(*text) : std::string();
}

/// "driver=vfio-pci id=gpu0"; long values are cut.
std::string summary(const json::object* object) {
    std::string out;
    if (!object)
        return out;
    for (const auto& [key, value] : *object) {
        auto text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        if (text.size() > longest_value) {
            auto end = longest_value; // between characters
            while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
                --end;
            text = text.substr(0, end) + "...";
        }
        out += (out.empty() ? "" : " ") + std::string(key) + "=" + text;
    }
    return out;
}

/// The qdev ids in a query-pci answer, those behind bridges too.
void collect_ids(const json::value& value, std::vector<std::string>& ids) {
    if (const auto* array = value.if_array())
        for (const auto& each : *array)
            collect_ids(each, ids);
    const auto* object = value.if_object();
    if (!object)
        return;
    if (auto id = text_at(object, "qdev_id"); !id.empty())
        ids.push_back(std::move(id));
    for (const auto* key : {"devices", "pci_bridge"})
        if (const auto* inner = object->if_contains(key))
            collect_ids(*inner, ids);
}

/// What a command is about: device_add and device_del name it, qom paths may lead to it.
std::string command_device(const std::string& command, const json::object* arguments) {
    if (command == "device_add" || command == "device_del")
        return text_at(arguments, "id");
    if (!command.starts_with("qom-") || !arguments)
        return {};
    return event_device({{"path", text_at(arguments, "path")}});
}

class Builder {
  public:
    Builder(const std::vector<WireRecord>& records, const TimelineOptions& options)
        : records_(records), options_(options) {}

    Timeline build() {
        for (std::size_t i = 0; i < records_.size(); ++i)
            take(i);
        end_connection();
        out_.lanes = lanes_.lanes();
        if (!records_.empty()) {
            const auto [first, last] = std::ranges::minmax(records_, {}, &WireRecord::us);
            out_.begin_us = first.us;
            out_.end_us = last.us;
        }
        std::ranges::stable_sort(out_.remarks, {}, &Remark::us);
        return std::move(out_);
    }

  private:
    struct Open {
        std::size_t exchange;
        std::string id; ///< serialised; "" for none
    };

    void take(std::size_t index) {
        const auto& record = records_[index];
        using Kind = WireRecord::Kind;
        // QEMU serves one client at a time: another number means that the one before has ended,
        // whether or not its last line was written.
        if (record.connection != connection_ || record.kind == Kind::connect) {
            end_connection();
            connection_ = record.connection;
        }
        if (record.kind == Kind::received || record.kind == Kind::lost ||
            record.kind == Kind::closed)
            note_silence(record.us);
        else if (record.kind == Kind::sent && open_.empty())
            heard_us_ = record.us; // from here on something is waited for
        switch (record.kind) {
        case Kind::connect:
            remark(Remark::Kind::connected, index, record.why);
            break;
        case Kind::sent:
            sent(index);
            break;
        case Kind::received:
            received(index);
            break;
        case Kind::synthesised:
            if (const auto event = text_at(record.message.if_object(), "event"); !event.empty())
                take_event(index, event);
            break;
        case Kind::torn:
            remark(Remark::Kind::torn, index,
                   std::string(record.received ? "received: " : "sent: ") + record.text);
            break;
        case Kind::lost:
            remark(Remark::Kind::lost, index, record.why);
            end_connection();
            break;
        case Kind::closed:
            remark(Remark::Kind::closed, index, record.why);
            end_connection();
            break;
        case Kind::gap:
            remark(Remark::Kind::gap, index,
                   std::to_string(record.bytes) + " bytes are not in the log: " + record.why);
            break;
        case Kind::log:
        case Kind::unknown:
            break;
        }
    }

    void remark(Remark::Kind kind, std::size_t index, std::string text) {
        out_.remarks.push_back(
            {kind, connection_, records_[index].us, std::nullopt, std::move(text), index});
    }

    void note_silence(std::int64_t us) {
        if (!open_.empty() && us - heard_us_ >= options_.silent_us) {
            const auto& oldest = out_.exchanges[open_.front().exchange];
            out_.remarks.push_back({Remark::Kind::silent, connection_, heard_us_, us,
                                    "nothing from QEMU while " + oldest.command + " was out",
                                    std::nullopt});
        }
        heard_us_ = us;
    }

    void sent(std::size_t index) {
        const auto& record = records_[index];
        const auto* object = record.message.if_object();
        Exchange exchange;
        exchange.command = text_at(object, "execute");
        if (exchange.command.empty())
            exchange.command = text_at(object, "exec-oob");
        if (exchange.command.empty())
            return remark(Remark::Kind::stray, index, "sent what is no command: " + record.why);
        const auto* arguments = object_at(record.message, "arguments");
        exchange.connection = connection_;
        exchange.arguments = summary(arguments);
        exchange.device = command_device(exchange.command, arguments);
        exchange.sent_us = record.us;
        exchange.sent = index;
        if (exchange.command == "device_add" && !exchange.device.empty())
            lanes_.device_add_sent(exchange.device, record.us);
        if (exchange.command == "device_del" && !exchange.device.empty())
            lanes_.device_del_sent(exchange.device, record.us);
        const auto* id = object->if_contains("id");
        open_.push_back({out_.exchanges.size(), id ? json::serialize(*id) : std::string()});
        out_.exchanges.push_back(std::move(exchange));
    }

    void received(std::size_t index) {
        const auto& record = records_[index];
        if (!record.is_json)
            return remark(Remark::Kind::stray, index, "received what is no message: " + record.why);
        const auto* object = record.message.if_object();
        if (const auto* greeting = object_at(record.message, "QMP"); greeting)
            return greeted(index);
        if (const auto event = text_at(object, "event"); !event.empty())
            return take_event(index, event);
        if (object && (object->if_contains("return") || object->if_contains("error")))
            return reply(index);
        remark(Remark::Kind::stray, index, "received neither greeting, reply, error nor event");
    }

    void greeted(std::size_t index) {
        const auto message = parse_message(records_[index].text);
        const auto* greeting = std::get_if<Greeting>(&message);
        remark(Remark::Kind::greeted, index, "QEMU " + (greeting ? greeting->version() : ""));
    }

    void take_event(std::size_t index, const std::string& name) {
        const auto& record = records_[index];
        const auto* data = object_at(record.message, "data");
        TimelineEvent event{connection_,
                            record.us,
                            name,
                            "",
                            summary(data),
                            index,
                            record.kind == WireRecord::Kind::synthesised};
        if (data)
            event.device = event_device(*data);
        if (!event.device.empty())
            lanes_.event(name, event.device, record.us);
        for (const auto& open : open_)
            out_.exchanges[open.exchange].events.push_back(out_.events.size());
        out_.events.push_back(std::move(event));
    }

    void reply(std::size_t index) {
        const auto& record = records_[index];
        const auto* id = record.message.get_object().if_contains("id");
        const auto* error = object_at(record.message, "error");
        const auto found = id ? std::ranges::find(open_, json::serialize(*id), &Open::id)
                              // Without an id QEMU's parser complains about the oldest; so does the
                              // answer to a command that was typed without one.
                              : open_.begin();
        if (found == open_.end())
            return remark(Remark::Kind::stray, index, "a reply to nothing that is out");
        auto& exchange = out_.exchanges[found->exchange];
        open_.erase(found);
        exchange.reply = index;
        exchange.answered_us = record.us;
        exchange.outcome = error ? Exchange::Outcome::refused : Exchange::Outcome::answered;
        exchange.error_class = text_at(error, "class");
        exchange.desc = text_at(error, "desc");
        follow_device(exchange, record);
    }

    void follow_device(const Exchange& exchange, const WireRecord& record) {
        const bool refused = exchange.outcome == Exchange::Outcome::refused;
        if (exchange.command == "query-pci" && !refused) {
            // QEMU answers in order: the listing is of the moment it is answered in.
            std::vector<std::string> ids;
            if (const auto* list = record.message.get_object().if_contains("return");
                list && list->is_array()) {
                collect_ids(*list, ids);
                lanes_.listed(ids, record.us);
            }
        }
        if (exchange.device.empty())
            return;
        if (exchange.command == "device_add") {
            if (refused)
                lanes_.device_add_refused(exchange.device, record.us, exchange.desc);
            else
                lanes_.device_add_answered(exchange.device, record.us);
        } else if (exchange.command == "device_del" && refused) {
            lanes_.device_del_refused(exchange.device, record.us, exchange.error_class,
                                      exchange.desc);
        }
    }

    void end_connection() { open_.clear(); }

    const std::vector<WireRecord>& records_;
    const TimelineOptions& options_;
    Timeline out_;
    DeviceLanes lanes_;
    std::uint64_t connection_ = 0;
    std::deque<Open> open_;
    std::int64_t heard_us_ = 0;
};

} // namespace

std::string_view name(Remark::Kind kind) noexcept {
    switch (kind) {
    case Remark::Kind::connected:
        return "connected";
    case Remark::Kind::greeted:
        return "greeted";
    case Remark::Kind::lost:
        return "lost";
    case Remark::Kind::closed:
        return "closed";
    case Remark::Kind::torn:
        return "torn";
    case Remark::Kind::gap:
        return "gap";
    case Remark::Kind::silent:
        return "silent";
    case Remark::Kind::stray:
        return "stray";
    }
    return "";
}

std::size_t Timeline::refused() const {
    return static_cast<std::size_t>(
        std::ranges::count(exchanges, Exchange::Outcome::refused, &Exchange::outcome));
}

std::size_t Timeline::unanswered() const {
    return static_cast<std::size_t>(
        std::ranges::count(exchanges, Exchange::Outcome::unanswered, &Exchange::outcome));
}

Timeline make_timeline(const std::vector<WireRecord>& records, const TimelineOptions& options) {
    return Builder(records, options).build();
}

} // namespace kata_vfio::qemu
