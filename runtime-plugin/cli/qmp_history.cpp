// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_history.hpp"

#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>

#include <cstdlib>
#include <utility>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace {

constexpr int most_lines = 1000;

/// The file, made 0600 with the directories it needs; false when that can't be.
bool prepare(const fs::path& file) {
    if (file.empty())
        return false;
    std::error_code error;
    fs::create_directories(file.parent_path().parent_path(), error);
    ::mkdir(file.parent_path().c_str(), 0700);
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    return fd && ::fchmod(fd.get(), 0600) == 0;
}

} // namespace

fs::path qmp_history_file() {
    const char* state = std::getenv("XDG_STATE_HOME");
    const char* home = std::getenv("HOME");
    if (state && *state == '/')
        return fs::path(state) / "kata-vfio" / "qmp_history";
    if (home && *home == '/')
        return fs::path(home) / ".local/state/kata-vfio/qmp_history";
    return {};
}

QmpHistory::QmpHistory(fs::path file) : file_(std::move(file)), lines_(::history_init()) {
    HistEvent event;
    ::history(lines_, &event, H_SETSIZE, most_lines);
    ::history(lines_, &event, H_SETUNIQUE, 1);
    if (prepare(file_))
        ::history(lines_, &event, H_LOAD, file_.c_str());
    else
        file_.clear();
}

QmpHistory::~QmpHistory() {
    HistEvent event;
    if (!file_.empty() && prepare(file_))
        ::history(lines_, &event, H_SAVE, file_.c_str());
    ::history_end(lines_);
}

void QmpHistory::add(const std::string& line) {
    HistEvent event;
    ::history(lines_, &event, H_ENTER, line.c_str());
}

} // namespace kata_vfio::cli
