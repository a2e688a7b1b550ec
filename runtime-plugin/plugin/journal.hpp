// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/plugin/step.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::plugin {

/// What an attach under way has done, on disk before it is done.
///
/// One JSON object a line, each with "v": 1. "begin" names the operation; "intent" comes, fsynced,
/// before a step is taken, "done" after it, with the next line; the file goes when the operation's
/// outcome is in state.json. A file that is there when the sandbox's lock is free was left by a
/// killed process: its steps are undone (last first) unless state.json has the attachment already.
///
/// Invariant: the holder of a Journal holds the sandbox's lock.
class Journal {
  public:
    explicit Journal(std::filesystem::path sandbox_directory);

    /// Starts the record of one operation; `ids` are the attachments it will add.
    void begin(std::string_view operation, const std::vector<std::string>& ids);
    bool begun() const noexcept { return static_cast<bool>(fd_); }
    /// On disk when it returns: only then may the steps be taken.
    void intend(const std::vector<Step>& steps);
    void intend(const Step& step) { intend(std::vector<Step>{step}); }
    void done();
    /// The step last intended failed and left nothing: it is not to be undone.
    void withdraw();
    /// The outcome is recorded elsewhere: removes the file.
    void clear();

    /// As given to begin().
    const std::string& operation() const noexcept { return operation_; }
    /// Steps since begin(), in the order they were intended.
    const std::vector<Step>& steps() const noexcept { return steps_; }

  private:
    /// Whole lines, behind those that wait; on disk when it returns.
    void append(std::string_view last);

    std::filesystem::path directory_;
    std::string file_;
    UniqueFd fd_;
    bool in_memory_ = false; ///< its file system is: a sync does nothing there
    std::size_t size_ = 0;   ///< of the whole lines in the file
    std::string waiting_;    ///< lines that go with the next write
    std::string operation_;
    std::vector<Step> steps_;
};

/// A journal found on disk.
struct LeftJournal {
    std::string operation;
    std::vector<std::string> ids;
    std::vector<Step> steps; ///< intended, in order; the last may not have been taken
};

/// nullopt when there is none. A last line without its newline was being written when its writer
/// died, so its step was not taken: it is dropped. Anything else malformed throws
/// Failure(state_corrupt) naming file and line.
std::optional<LeftJournal> read_journal(const std::filesystem::path& sandbox_directory);

} // namespace kata_vfio::plugin
