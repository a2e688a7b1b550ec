// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/trace/trace_page.hpp"

#include "config/base/failure.hpp"
#include "config/base/utf8.hpp"
#include "runtime-plugin/cli/trace/page_parts.hpp"

#include <boost/json.hpp>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <span>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

using Outcome = qemu::Exchange::Outcome;

/// Whatever can be drawn, by where it is in the timeline.
struct Item {
    enum class Kind { exchange, event, remark } kind;
    std::size_t index;
    int rank; ///< lower is kept first
    std::int64_t us;
};

/// The bodies that fit, each once. An index, or -1 for one that was left out.
class Bodies {
  public:
    Bodies(const Trace& trace, const PageLimits& limits) : trace_(trace), limits_(limits) {}

    /// For items in order of precedence, before any index is asked for.
    void want(std::optional<std::size_t> record) {
        if (!record || index_.contains(*record))
            return;
        auto text = trace_.history.records[*record].text;
        if (text.size() > limits_.one_body) {
            ++cut_;
            text = text.substr(0, limits_.one_body) + " ... (cut, " +
                   std::to_string(trace_.history.records[*record].text.size()) + " bytes)";
        }
        if (used_ + text.size() > limits_.bodies) {
            ++omitted_;
            index_[*record] = -1;
            return;
        }
        used_ += text.size();
        index_[*record] = static_cast<std::int64_t>(texts_.size());
        texts_.push_back(json::value(valid_utf8(text)));
    }
    json::value at(std::optional<std::size_t> record) const {
        return record ? json::value(index_.at(*record)) : json::value(nullptr);
    }
    json::array take() { return std::move(texts_); }
    std::size_t cut() const noexcept { return cut_; }
    std::size_t omitted() const noexcept { return omitted_; }

  private:
    const Trace& trace_;
    const PageLimits& limits_;
    std::map<std::size_t, std::int64_t> index_;
    json::array texts_;
    std::size_t used_ = 0, cut_ = 0, omitted_ = 0;
};

std::vector<Item> ranked(const Trace& trace) {
    const auto& timeline = trace.timeline;
    std::vector<Item> items;
    for (std::size_t i = 0; i < timeline.remarks.size(); ++i)
        items.push_back({Item::Kind::remark, i, 0, timeline.remarks[i].us});
    for (std::size_t i = 0; i < timeline.exchanges.size(); ++i) {
        const auto& each = timeline.exchanges[i];
        const bool stands_out = each.outcome != Outcome::answered || trace.slow(each);
        items.push_back({Item::Kind::exchange, i,
                         stands_out            ? 0
                         : each.device.empty() ? 3
                                               : 1,
                         each.sent_us});
    }
    for (std::size_t i = 0; i < timeline.events.size(); ++i)
        items.push_back({Item::Kind::event, i, timeline.events[i].device.empty() ? 2 : 1,
                         timeline.events[i].us});
    std::ranges::stable_sort(items, [](const Item& left, const Item& right) {
        return std::pair(left.rank, -left.us) < std::pair(right.rank, -right.us);
    });
    return items;
}

class Page {
  public:
    Page(const Trace& trace, const PageLimits& limits)
        : trace_(trace), timeline_(trace.timeline), bodies_(trace, limits), items_(ranked(trace)) {
        if (items_.size() > limits.items) {
            note(std::to_string(items_.size() - limits.items) + " of " +
                 std::to_string(items_.size()) +
                 " commands, events and remarks are left out, of those that do not stand out the "
                 "oldest; kata-vfio trace --json has them all");
            items_.resize(limits.items);
        }
        for (const auto& item : items_)
            want(item);
        std::ranges::sort(items_, {}, &Item::us);
    }

    json::object data() {
        json::array lanes{lane("", {})};
        for (const auto& each : timeline_.lanes) {
            lane_of_.emplace(each.device, lanes.size());
            lanes.push_back(lane(each.device, each.phases));
        }
        json::array exchanges, events, remarks;
        for (const auto& item : items_) {
            if (item.kind == Item::Kind::exchange)
                exchanges.push_back(exchange(timeline_.exchanges[item.index], lanes));
            else if (item.kind == Item::Kind::event)
                events.push_back(event(timeline_.events[item.index], lanes));
            else
                remarks.push_back(remark(timeline_.remarks[item.index]));
        }
        tell_cuts();
        const auto& records = trace_.history.records;
        return {{"title", valid_utf8(trace_.title)},
                {"summary", summary(trace_)},
                {"notes", std::move(notes_)},
                {"begin_wall_us", records.empty() ? 0 : records.front().wall_us},
                {"end_us", timeline_.end_us - timeline_.begin_us},
                {"slow_us", trace_.slow_us},
                {"lanes", std::move(lanes)},
                {"exchanges", std::move(exchanges)},
                {"events", std::move(events)},
                {"remarks", std::move(remarks)},
                {"bodies", bodies_.take()}};
    }

  private:
    void note(const std::string& text) { notes_.push_back(json::value(valid_utf8(text))); }

    void want(const Item& item) {
        if (item.kind == Item::Kind::exchange) {
            bodies_.want(timeline_.exchanges[item.index].sent);
            bodies_.want(timeline_.exchanges[item.index].reply);
        } else if (item.kind == Item::Kind::event) {
            bodies_.want(timeline_.events[item.index].record);
        } else {
            bodies_.want(timeline_.remarks[item.index].record);
        }
    }

    void tell_cuts() {
        if (bodies_.omitted() > 0)
            note(std::to_string(bodies_.omitted()) +
                 " messages are drawn without their text, to keep this page usable; the log has "
                 "it");
        if (bodies_.cut() > 0)
            note(std::to_string(bodies_.cut()) + " long messages are cut; the log has them whole");
        if (trace_.history.bad_lines > 0)
            note(std::to_string(trace_.history.bad_lines) + " lines of the log can't be read");
        for (const auto& problem : trace_.history.problems)
            note(problem);
    }

    std::int64_t since(std::int64_t us) const { return us - timeline_.begin_us; }
    json::value until(const std::optional<std::int64_t>& us) const {
        return us ? json::value(since(*us)) : json::value(nullptr);
    }

    json::object lane(const std::string& device, const std::vector<qemu::DevicePhase>& phases) {
        json::array out;
        for (const auto& phase : phases)
            out.push_back({name(phase.state), since(phase.from_us), until(phase.to_us),
                           valid_utf8(phase.cause)});
        return {{"device", valid_utf8(device)}, {"phases", std::move(out)}};
    }
    /// A device that only queries or foreign events name gets its lane here.
    std::size_t lane_of(const std::string& device, json::array& lanes) {
        if (device.empty())
            return 0;
        const auto [found, fresh] = lane_of_.emplace(device, lanes.size());
        if (fresh)
            lanes.push_back(lane(device, {}));
        return found->second;
    }

    json::array exchange(const qemu::Exchange& each, json::array& lanes) {
        return {each.connection,
                lane_of(each.device, lanes),
                valid_utf8(each.command),
                valid_utf8(each.arguments),
                since(each.sent_us),
                until(each.answered_us),
                each.outcome == Outcome::answered  ? "answered"
                : each.outcome == Outcome::refused ? "refused"
                                                   : "unanswered",
                each.error_class,
                each.desc,
                bodies_.at(each.sent),
                bodies_.at(each.reply),
                each.events.size()};
    }
    json::array event(const qemu::TimelineEvent& each, json::array& lanes) {
        return {each.connection,
                lane_of(each.device, lanes),
                since(each.us),
                valid_utf8(each.name) + (each.synthesised ? " (synthesised)" : ""),
                valid_utf8(each.data),
                bodies_.at(each.record)};
    }
    json::array remark(const qemu::Remark& each) {
        const bool has_body = each.record && !trace_.history.records[*each.record].text.empty();
        return {name(each.kind),       each.connection,
                since(each.us),        until(each.until_us),
                valid_utf8(each.text), has_body ? bodies_.at(each.record) : json::value(nullptr)};
    }

    const Trace& trace_;
    const qemu::Timeline& timeline_;
    Bodies bodies_;
    std::vector<Item> items_;
    json::array notes_;
    std::map<std::string, std::size_t> lane_of_;
};

/// JSON that can stand in HTML: in its strings these three may be written so, and elsewhere they
/// don't occur.
std::string for_html(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text)
        if (c == '<')
            out += "\\u003c";
        else if (c == '>')
            out += "\\u003e";
        else if (c == '&')
            out += "\\u0026";
        else
            out += c;
    return out;
}

std::string nonce() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw Failure(Errc::internal, "the kernel gave no random bytes").sys(errno);
    std::string out;
    for (const auto byte : bytes) {
        constexpr std::string_view digits = "0123456789abcdef";
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

/// The template with each {{MARK}} replaced in one pass: what was put in is not looked at again.
std::string fill(std::string_view page, const std::map<std::string_view, std::string>& values) {
    std::string out;
    for (std::size_t at = 0;;) {
        const auto mark = page.find("{{", at);
        const auto end = mark == page.npos ? page.npos : page.find("}}", mark);
        if (end == page.npos)
            return out.append(page.substr(at));
        out.append(page.substr(at, mark - at));
        out.append(values.at(page.substr(mark + 2, end - mark - 2)));
        at = end + 2;
    }
}

} // namespace

std::string trace_page(const Trace& trace, const PageLimits& limits) {
    return fill(page_html, {{"STYLE", std::string(page_css)},
                            {"SCRIPT", std::string(page_js)},
                            {"DATA", for_html(json::serialize(Page(trace, limits).data()))},
                            {"NONCE", nonce()}});
}

} // namespace kata_vfio::cli
