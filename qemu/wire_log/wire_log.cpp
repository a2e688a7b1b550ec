// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_log.hpp"

#include "qemu/wire_log/wire_file.hpp"
#include "qemu/wire_log/wire_lines.hpp"

#include <boost/json/serialize.hpp>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

namespace kata_vfio::qemu {
namespace asio = boost::asio;
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

std::int64_t monotonic_us() {
    return duration_cast<microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::int64_t wall_us() {
    return duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// What follows a chunk within this time is written with it: a command, its answer and the next are
/// then one wake-up of the log's thread and not three, on a CPU the session could use.
constexpr std::chrono::milliseconds gather{5};

} // namespace

/// Shared by the log and its thread, which may have to be left behind on a disk that hangs.
class WireLog::Impl {
  public:
    Impl(WireLogOptions options, ErrorHandler on_error)
        : file_(options.path, options.max_bytes, options.files), lines_(Redaction(options.redact)),
          max_queued_(options.max_queued), on_error_(std::move(on_error)) {}

    void push(WireChunk::Kind kind, std::string_view bytes) noexcept;
    void run() noexcept;
    void stop_within(std::chrono::milliseconds limit, std::thread& thread);
    void flush();
    Counters counters() const {
        const std::lock_guard lock(mutex_);
        return counters_;
    }
    void report(const Failure& failure) noexcept;

  private:
    using Queue = std::deque<WireChunk>;

    bool open();
    void write(const Queue& chunks);
    void fail(int number, const char* what);
    void drop(const Queue& chunks);

    // The thread's own.
    WireFile file_;
    WireLines lines_;
    std::uint64_t connection_ = 0;

    const std::size_t max_queued_;
    mutable std::mutex mutex_;
    std::condition_variable arrived_, idle_;
    Queue queue_;
    std::size_t queued_ = 0;
    std::uint64_t missing_ = 0; ///< bytes left out since the last chunk in the queue
    unsigned flushing_ = 0;
    bool fresh_ = false, working_ = false, stopping_ = false, ended_ = false, failed_ = false;
    bool told_end_ = false;
    Counters counters_;

    std::mutex report_mutex_;
    ErrorHandler on_error_;
};

void WireLog::Impl::push(WireChunk::Kind kind, std::string_view bytes) noexcept {
    using Kind = WireChunk::Kind;
    const bool traffic = kind == Kind::sent || kind == Kind::received || kind == Kind::synthesised;
    bool wake = false;
    try {
        WireChunk chunk{kind, monotonic_us(), wall_us(), std::string(bytes), 0};
        const std::lock_guard lock(mutex_);
        if (told_end_)
            return;
        told_end_ = kind == Kind::lost || kind == Kind::closed;
        if (failed_ || (traffic && queued_ + bytes.size() > max_queued_)) {
            missing_ += bytes.size();
            counters_.dropped_bytes += bytes.size();
            return;
        }
        if (missing_ > 0)
            queue_.push_back({Kind::gap, chunk.us, chunk.wall_us,
                              "more than the log could write in time", std::exchange(missing_, 0)});
        queued_ += bytes.size();
        queue_.push_back(std::move(chunk));
        const bool filling = traffic && queued_ > max_queued_ / 2;
        const bool first = !std::exchange(fresh_, true);
        wake = first || filling;
    } catch (...) { // no memory: a gap as any other
        const std::lock_guard lock(mutex_);
        missing_ += bytes.size();
        counters_.dropped_bytes += bytes.size();
    }
    if (wake)
        arrived_.notify_one();
}

void WireLog::Impl::run() noexcept {
    std::unique_lock lock(mutex_);
    while (!ended_) {
        arrived_.wait(lock, [this] { return fresh_ || stopping_; });
        arrived_.wait_for(lock, gather, [this] {
            return stopping_ || flushing_ > 0 || queued_ > max_queued_ / 2;
        });
        fresh_ = false;
        working_ = true;
        const bool last = stopping_;
        lock.unlock();
        Queue taken;
        try {
            if (open()) {
                {
                    const std::lock_guard held(mutex_);
                    taken.swap(queue_);
                    queued_ = 0;
                }
                write(taken);
            }
        } catch (const std::exception&) { // no memory: nothing to make a text of either
            lock.lock();
            failed_ = true;
            ++counters_.errors;
            lock.unlock();
        }
        lock.lock();
        working_ = false;
        if (failed_ || last) {
            drop(queue_);
            queue_.clear();
            queued_ = 0;
        }
        ended_ = last;
        idle_.notify_all();
    }
}

bool WireLog::Impl::open() {
    {
        const std::lock_guard lock(mutex_);
        if (failed_)
            return false;
    }
    if (file_.is_open())
        return true;
    const int problem = file_.open();
    if (problem == 0)
        connection_ = file_.last_connection() + 1;
    else if (problem != ENOENT) // the sandbox's directory is made when it is accepted
        fail(problem, "can't open the QMP log ");
    return problem == 0;
}

void WireLog::Impl::write(const Queue& chunks) {
    for (auto chunk = chunks.begin(); chunk != chunks.end(); ++chunk)
        for (const auto& line : lines_.add(*chunk, connection_)) {
            const auto header = WireLines::header(chunk->us, chunk->wall_us);
            if (const int problem = file_.append(line, header); problem != 0) {
                fail(problem, "can't write the QMP log ");
                const std::lock_guard lock(mutex_);
                for (; chunk != chunks.end(); ++chunk)
                    counters_.dropped_bytes += chunk->bytes.size();
                return;
            }
            const std::lock_guard lock(mutex_);
            ++counters_.lines;
            counters_.bytes += line.size();
        }
}

void WireLog::Impl::drop(const Queue& chunks) {
    for (const auto& chunk : chunks)
        counters_.dropped_bytes += chunk.bytes.size();
}

void WireLog::Impl::fail(int number, const char* what) {
    {
        const std::lock_guard lock(mutex_);
        failed_ = true;
        ++counters_.errors;
    }
    auto failure = host_failure(number, what + file_.path().string());
    report(failure.remedy("nothing more of this connection is logged: make room there, or set "
                          "qmp_log = false"));
}

void WireLog::Impl::report(const Failure& failure) noexcept {
    const std::lock_guard lock(report_mutex_);
    if (const auto handler = std::exchange(on_error_, nullptr))
        handler(failure);
}

void WireLog::Impl::flush() {
    std::unique_lock lock(mutex_);
    ++flushing_;
    arrived_.notify_one();
    idle_.wait(lock, [this] { return (!fresh_ && !working_) || ended_; });
    --flushing_;
}

void WireLog::Impl::stop_within(std::chrono::milliseconds limit, std::thread& thread) {
    bool ended = false;
    {
        std::unique_lock lock(mutex_);
        stopping_ = true;
        arrived_.notify_one();
        ended = idle_.wait_for(lock, limit, [this] { return ended_; });
    }
    if (ended)
        thread.join();
    else
        thread.detach(); // it holds the Impl, and ends when the disk lets go of it
    const std::lock_guard lock(report_mutex_);
    on_error_ = nullptr;
}

std::shared_ptr<WireLog> WireLog::start(WireLogOptions options, const std::string& where,
                                        ErrorHandler on_error) {
    const auto path = options.path;
    const auto impl = std::make_shared<Impl>(std::move(options), std::move(on_error));
    try {
        std::thread thread([impl] { impl->run(); });
        impl->push(WireChunk::Kind::connect, where);
        return std::make_shared<WireLog>(impl, std::move(thread));
    } catch (const std::system_error& error) {
        impl->report(host_failure(error.code().value(),
                                  "can't start the thread of the QMP log " + path.string()));
        return nullptr;
    }
}

WireLog::WireLog(std::shared_ptr<Impl> impl, std::thread thread)
    : impl_(std::move(impl)), thread_(std::move(thread)) {}

WireLog::~WireLog() {
    impl_->push(WireChunk::Kind::closed, {});
    impl_->stop_within(std::chrono::seconds(1), thread_);
}

WireTap WireLog::tap() {
    return [self = shared_from_this()](WireDirection direction, std::string_view bytes) {
        self->impl_->push(direction == WireDirection::sent ? WireChunk::Kind::sent
                                                           : WireChunk::Kind::received,
                          bytes);
    };
}

void WireLog::lost(const Failure& why) noexcept {
    impl_->push(WireChunk::Kind::lost, why.what());
}

void WireLog::synthesised(const Event& event) {
    impl_->push(WireChunk::Kind::synthesised, boost::json::serialize(event_json(event)));
}

void WireLog::flush() {
    impl_->flush();
}

WireLog::Counters WireLog::counters() const {
    return impl_->counters();
}

asio::awaitable<std::shared_ptr<Session>>
connect_logged(std::shared_ptr<WireLog> log, std::string socket_path, Timeouts timeouts) {
    auto tap = log ? log->tap() : WireTap();
    try {
        co_return co_await Session::connect(std::move(socket_path), timeouts, std::move(tap));
    } catch (const Failure& failure) {
        if (log)
            log->lost(failure);
        throw;
    }
}

} // namespace kata_vfio::qemu
