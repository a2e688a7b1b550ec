// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/journal.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/distrust.hpp"

#include <boost/json.hpp>
#include <boost/system/system_error.hpp>
#include <fcntl.h>

#include <cerrno>

namespace kata_vfio::plugin {
namespace json = boost::json;
namespace fs = std::filesystem;
namespace {

constexpr int journal_version = 1;
constexpr const char* file_name = "journal";

Failure corrupt(const fs::path& file, std::size_t line, std::string why) {
    return Failure(Errc::state_corrupt,
                   file.string() + ":" + std::to_string(line) + " is not a line of a journal")
        .said(std::move(why))
        .remedy("it was left as it is: nothing is guessed from a damaged journal");
}

} // namespace

Journal::Journal(fs::path sandbox_directory)
    : directory_(std::move(sandbox_directory)), file_(directory_.native() + "/" + file_name) {}

void Journal::begin(std::string_view operation, const std::vector<std::string>& ids) {
    operation_ = operation;
    steps_.clear();
    size_ = 0;
    waiting_.clear();
    if (const int error = write_fault(CrashPoint::journal_begin_write))
        throw host_failure(error, "can't start the journal " + file_);
    fd_.reset(::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
    if (!fd_)
        throw host_failure(errno, "can't start the journal " + file_);
    in_memory_ = in_memory(fd_.get());
    json::object line{{"v", journal_version}, {"begin", operation}, {"pid", ::getpid()}};
    line["ids"] = json::value_from(ids);
    // Written with the first intent, before which it tells a recovery nothing; the name must be
    // there before that one counts.
    waiting_ = json::serialize(line) + "\n";
    if (!in_memory_)
        sync_directory(directory_);
    crash_point(CrashPoint::journal_begun);
}

void Journal::intend(const std::vector<Step>& steps) {
    std::string lines;
    for (const auto& step : steps) {
        json::object line{{"v", journal_version}, {"intent", to_json(step)}};
        lines += json::serialize(line) + "\n";
    }
    const bool with_done = !waiting_.empty() && !steps_.empty();
    if (const int error = with_done ? write_fault(CrashPoint::journal_done_write) : 0)
        throw host_failure(error, "can't write " + file_);
    if (const int error = write_fault(CrashPoint::journal_intent_write))
        throw host_failure(error, "can't write " + file_);
    append(lines);
    steps_.insert(steps_.end(), steps.begin(), steps.end());
}

void Journal::done() {
    json::object line{{"v", journal_version}, {"done", steps_.size()}};
    // Not worth a write of its own: "intent" alone already leads to the undoing of the step, and
    // after the last one state.json says that all is done.
    waiting_ += json::serialize(line) + "\n";
}

void Journal::withdraw() {
    json::object line{{"v", journal_version}, {"withdrawn", steps_.size()}};
    // First in memory: an undo in this process must not take the step even if the disk is full.
    steps_.pop_back();
    if (const int error = write_fault(CrashPoint::journal_withdraw_write))
        throw host_failure(error, "can't write " + file_);
    append(json::serialize(line) + "\n");
}

void Journal::clear() {
    fd_.reset();
    steps_.clear();
    waiting_.clear();
    if (const int error = write_fault(CrashPoint::journal_clear_write))
        throw host_failure(error, "can't remove " + file_);
    if (::unlink(file_.c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove " + file_);
    if (!in_memory_)
        sync_directory(directory_);
    crash_point(CrashPoint::journal_cleared);
}

void Journal::append(std::string_view last) {
    const auto lines = waiting_ + std::string(last);
    // One write: a reader finds whole lines, and at most the last one torn.
    const auto n = ::write(fd_.get(), lines.data(), lines.size());
    if (n != static_cast<ssize_t>(lines.size())) {
        const int error = n < 0 ? errno : ENOSPC;
        // What there was room for would run into the next line; where that can't be helped, the
        // next line makes it a corrupt journal, which is seen.
        if (n > 0 && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0)
            throw host_failure(error, "can't write " + file_ +
                                          ", nor take back what was written of a line");
        throw host_failure(error, "can't write " + file_);
    }
    size_ += lines.size();
    waiting_.clear();
    if (!in_memory_ && ::fdatasync(fd_.get()) != 0)
        throw host_failure(errno, "can't sync " + file_);
}

std::optional<LeftJournal> read_journal(const fs::path& sandbox_directory) {
    const auto path = sandbox_directory.native() + "/" + file_name;
    auto read = read_own(path);
    if (!read.distrust.empty())
        throw corrupt(path, 1, std::move(read.distrust));
    if (!read.bytes)
        return std::nullopt;
    LeftJournal journal;
    auto lines = split(*read.bytes, '\n');
    lines.pop_back(); // empty after the last newline, or the torn line
    for (std::size_t i = 0; i < lines.size(); ++i) {
        try {
            const auto value = json::parse(lines[i]);
            const auto& line = value.as_object();
            if (json::value_to<int>(line.at("v")) != journal_version)
                throw std::invalid_argument("version " + json::serialize(line.at("v")));
            if (const auto* begin = line.if_contains("begin")) {
                journal.operation = std::string(begin->as_string());
                journal.ids = json::value_to<std::vector<std::string>>(line.at("ids"));
            } else if (const auto* intent = line.if_contains("intent")) {
                journal.steps.push_back(step_from_json(intent->as_object()));
            } else if (line.contains("withdrawn") && !journal.steps.empty()) {
                journal.steps.pop_back();
            } else if (!line.contains("done")) {
                throw std::invalid_argument("none of begin, intent, done, withdrawn");
            }
        } catch (const boost::system::system_error& error) {
            // what() would add the source position inside Boost.JSON.
            throw corrupt(path, i + 1, error.code().message());
        } catch (const std::exception& error) {
            throw corrupt(path, i + 1, error.what());
        }
    }
    return journal;
}

} // namespace kata_vfio::plugin
