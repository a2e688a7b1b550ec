// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/wire_tail.hpp"

#include "config/base/failure.hpp"
#include "config/base/utf8.hpp"
#include "qemu/wire_log/wire_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace kata_vfio::daemon {
namespace asio = boost::asio;
namespace {

using Kind = qemu::WireRecord::Kind;

v1::TraceRecord::Kind kind_of(Kind kind) {
    switch (kind) {
    case Kind::connect:
        return v1::TraceRecord::KIND_CONNECT;
    case Kind::sent:
        return v1::TraceRecord::KIND_SENT;
    case Kind::received:
        return v1::TraceRecord::KIND_RECEIVED;
    case Kind::torn:
        return v1::TraceRecord::KIND_TORN;
    case Kind::lost:
        return v1::TraceRecord::KIND_LOST;
    case Kind::closed:
        return v1::TraceRecord::KIND_CLOSED;
    case Kind::gap:
        return v1::TraceRecord::KIND_GAP;
    case Kind::synthesised:
        return v1::TraceRecord::KIND_SYNTHESISED;
    case Kind::log:
    case Kind::unknown:
        break;
    }
    return v1::TraceRecord::KIND_UNSPECIFIED;
}

v1::TraceRecord message_of(const qemu::WireRecord& record) {
    v1::TraceRecord message;
    message.set_time_us(record.wall_us);
    message.set_connection(record.connection);
    message.set_kind(kind_of(record.kind));
    // What was no JSON is as it came, and a field of text takes UTF-8 alone.
    message.set_text(valid_utf8(record.text));
    message.set_why(valid_utf8(record.why));
    message.set_bytes(record.bytes);
    message.set_monotonic_us(record.us);
    message.set_received(record.received);
    return message;
}

} // namespace

WireTail::WireTail(asio::io_context& loop, std::filesystem::path log,
                   const v1::TraceRequest& request, std::function<void()> wake)
    : log_(std::move(log)), follow_(request.follow()), wake_(std::move(wake)), watch_(loop) {
    if (!open())
        throw Failure(Errc::host_io, "sandbox " + request.sandbox() + " has no wire log")
            .remedy("set qmp_log = true in the configuration's [vfio] table, and open the sandbox "
                    "again");
    if (follow_) {
        UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!inotify || ::inotify_add_watch(inotify.get(), log_.parent_path().c_str(),
                                            IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
            throw host_failure(errno, "can't watch " + log_.parent_path().string());
        watch_.assign(inotify.release());
        struct stat directory {};
        if (::stat(log_.parent_path().c_str(), &directory) == 0)
            directory_ = {directory.st_dev, directory.st_ino};
    }
    if (request.only_new()) {
        ::lseek(file_.get(), 0, SEEK_END);
        return;
    }
    open_rotated();
}

/// By descriptors, so that a rotation meanwhile neither hides one nor gives one twice.
void WireTail::open_rotated() {
    struct stat present {};
    if (::fstat(file_.get(), &present) != 0)
        return;
    for (int number = 1;; ++number) {
        UniqueFd file(::open((log_.string() + "." + std::to_string(number)).c_str(),
                             O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        struct stat mine {};
        if (!file || ::fstat(file.get(), &mine) != 0)
            return;
        if (mine.st_ino != present.st_ino || mine.st_dev != present.st_dev)
            rotated_.push_back(std::move(file));
    }
}

void WireTail::begin() {
    if (follow_)
        wait();
}

void WireTail::close() {
    boost::system::error_code ignored;
    watch_.close(ignored);
    wake_ = {};
}

void WireTail::wait() {
    watch_.async_read_some(
        asio::buffer(heard_),
        [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
            if (error || !self->wake_)
                return;
            self->heard(bytes);
            self->wake_();
            self->wait();
        });
}

/// That there are events is enough, but for the log's deletion. A release renames the directory
/// before it empties it; its own end (IN_DELETE_SELF) is not told as long as we have the file open.
void WireTail::heard(std::size_t bytes) {
    for (std::size_t at = 0; at + sizeof(inotify_event) <= bytes;) {
        inotify_event event{};
        std::memcpy(&event, heard_.data() + at, sizeof event);
        const char* name = event.len > 0 ? heard_.data() + at + sizeof event : "";
        if ((event.mask & IN_IGNORED) != 0 ||
            ((event.mask & IN_DELETE) != 0 && log_.filename() == name && !in_place()))
            gone_ = true;
        at += sizeof event + event.len;
    }
}

bool WireTail::in_place() const {
    struct stat now {};
    return ::stat(log_.parent_path().c_str(), &now) == 0 && now.st_ino == directory_.second &&
           now.st_dev == directory_.first;
}

bool WireTail::open() {
    UniqueFd file(::open(log_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file)
        return false;
    file_ = std::move(file);
    return true;
}

bool WireTail::fill() {
    std::array<char, 65536> bytes;
    const bool old = !rotated_.empty();
    const auto size = ::read(old ? rotated_.back().get() : file_.get(), bytes.data(), bytes.size());
    if (size > 0) {
        rest_.append(bytes.data(), static_cast<std::size_t>(size));
        std::size_t begin = 0;
        for (std::size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1)
            take(std::string_view(rest_).substr(begin, end - begin), true);
        rest_.erase(0, begin);
        return true;
    }
    if (old) {
        rotated_.pop_back();
        take(std::exchange(rest_, {}), false);
        return true;
    }
    // At the end of a file that has been renamed: go on in the new one.
    struct stat mine {
    }, now{};
    if (::fstat(file_.get(), &mine) == 0 && ::stat(log_.c_str(), &now) == 0 &&
        (mine.st_ino != now.st_ino || mine.st_dev != now.st_dev)) {
        take(std::exchange(rest_, {}), false);
        return open();
    }
    return false;
}

void WireTail::take(std::string_view line, bool complete) {
    const auto read = qemu::read_wire_line(line, complete);
    if (const auto* why = std::get_if<std::string>(&read)) {
        v1::TraceRecord unreadable;
        unreadable.set_kind(v1::TraceRecord::KIND_UNREADABLE);
        unreadable.set_why(*why);
        records_.push_back(std::move(unreadable));
    } else if (const auto* record = std::get_if<qemu::WireRecord>(&read)) {
        records_.push_back(message_of(*record));
    }
}

std::optional<v1::TraceRecord> WireTail::rest() {
    if (last() && drained_ && records_.empty())
        take(std::exchange(rest_, {}), false);
    if (records_.empty())
        return std::nullopt;
    auto record = std::move(records_.front());
    records_.pop_front();
    return record;
}

std::optional<v1::TraceRecord> WireTail::next() {
    while (records_.empty()) {
        drained_ = !fill();
        if (drained_)
            return std::nullopt;
    }
    auto record = std::move(records_.front());
    records_.pop_front();
    return record;
}

} // namespace kata_vfio::daemon
