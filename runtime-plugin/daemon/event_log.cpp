// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/event_log.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace kata_vfio::daemon {
namespace json = boost::json;
namespace {

std::int64_t wall_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

/// Two files of this many hold what the memory does, at least.
constexpr std::size_t lines_a_file = EventLog::capacity;

} // namespace

EventLog::EventLog(std::filesystem::path directory, Clock clock)
    : directory_(std::move(directory)), clock_(clock ? std::move(clock) : wall_us) {
    if (directory_.empty())
        return;
    read(directory_ / "events.1");
    lines_ = 0;
    read(directory_ / "events");
    open();
}

void EventLog::read(const std::filesystem::path& file) {
    std::optional<std::string> text;
    try {
        text = read_file(file, std::size_t{256} << 20);
    } catch (const Failure& failure) { // no reason not to serve: events go on from now
        trouble_ = failure.what();
    }
    if (!text)
        return;
    std::size_t begin = 0;
    // A last line without its newline was cut off by a kill.
    for (std::size_t end; (end = text->find('\n', begin)) != std::string::npos; begin = end + 1) {
        ++lines_;
        boost::system::error_code error;
        const auto value = json::parse(std::string_view(*text).substr(begin, end - begin), error);
        auto event = std::make_shared<v1::Event>();
        try {
            if (error || !value.is_object())
                continue;
            rpc::fill(*event, value.get_object());
        } catch (const std::invalid_argument&) {
            continue;
        }
        if (event->revision() <= last_)
            continue;
        last_ = event->revision();
        // Steps between two events on disk were never written.
        if (events_.empty())
            dropped_to_ = last_ - 1;
        keep(std::move(event));
    }
}

void EventLog::keep(Shared event) {
    bytes_ += event->ByteSizeLong();
    events_.push_back(std::move(event));
    while (events_.size() > capacity || (bytes_ > most_bytes && events_.size() > 1)) {
        dropped_to_ = events_.front()->revision();
        bytes_ -= events_.front()->ByteSizeLong();
        events_.pop_front();
    }
}

void EventLog::open() {
    const auto path = directory_ / "events";
    file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file_) {
        trouble_ = "can't open " + path.string() + ": " + std::strerror(errno);
        return;
    }
    // What a kill has cut off must not swallow the next line.
    const auto size = ::lseek(file_.get(), 0, SEEK_END);
    file_bytes_ = size > 0 ? static_cast<std::size_t>(size) : 0;
    const UniqueFd look(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    char last = '\n';
    if (size > 0 && look && ::pread(look.get(), &last, 1, size - 1) == 1 && last != '\n')
        [[maybe_unused]]
        const auto ended = ::write(file_.get(), "\n", 1);
}

void EventLog::write(const v1::Event& event) {
    if (!file_)
        return;
    const auto line = json::serialize(rpc::to_json(event)) + "\n";
    if (lines_ >= lines_a_file ||
        (file_bytes_ > 0 && file_bytes_ + line.size() > most_file_bytes)) {
        std::error_code error;
        std::filesystem::rename(directory_ / "events", directory_ / "events.1", error);
        open();
        lines_ = 0;
        if (!file_)
            return;
    }
    if (::write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        trouble_ = "can't write " + (directory_ / "events").string() + ": " + std::strerror(errno);
        file_.reset();
    }
    ++lines_;
    file_bytes_ += line.size();
}

std::uint64_t EventLog::append(v1::Event event) {
    const auto now = clock_();
    last_ = std::max(last_ + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(now, 1)));
    event.set_revision(last_);
    event.set_time_us(now);
    if (event.kind() != v1::Event::KIND_STEP)
        write(event);
    keep(std::make_shared<const v1::Event>(std::move(event)));
    // A copy: one that is woken may go away.
    const auto subscribers = subscribers_;
    for (const auto& [name, wake] : subscribers)
        wake();
    return last_;
}

bool EventLog::reaches(std::uint64_t revision) const noexcept {
    return revision >= dropped_to_ && revision <= last_;
}

EventLog::Shared EventLog::after(std::uint64_t revision) const {
    const auto found = std::upper_bound(
        events_.begin(), events_.end(), revision,
        [](std::uint64_t wanted, const Shared& event) { return wanted < event->revision(); });
    return found == events_.end() ? nullptr : *found;
}

std::uint64_t EventLog::subscribe(std::function<void()> wake) {
    subscribers_.emplace_back(next_name_, std::move(wake));
    return next_name_++;
}

void EventLog::unsubscribe(std::uint64_t name) {
    std::erase_if(subscribers_, [&](const auto& each) { return each.first == name; });
}

} // namespace kata_vfio::daemon
