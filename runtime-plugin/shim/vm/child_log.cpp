// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/child_log.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace kata_vfio::shim {
namespace {

std::string former(const std::filesystem::path& log) {
    return log.native() + ".1";
}

/// The last bytes of a file, at most `most`.
std::string end_of(const std::string& path, std::size_t most) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
        return {};
    const auto size = std::min<off_t>(info.st_size, static_cast<off_t>(most));
    std::string bytes(static_cast<std::size_t>(size), '\0');
    const auto count = ::pread(file.get(), bytes.data(), bytes.size(), info.st_size - size);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return bytes;
}

} // namespace

ChildLog::ChildLog(std::filesystem::path path) : path_(std::move(path)) {
    open();
    struct stat info {};
    if (::fstat(file_.get(), &info) == 0)
        size_ = static_cast<std::size_t>(info.st_size);
}

void ChildLog::open() {
    file_.reset(::open(path_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
    if (!file_)
        throw host_failure(errno, "can't write " + path_.native());
}

void ChildLog::append(std::string_view text) noexcept {
    if (size_ > 0 && size_ + text.size() > most_bytes) {
        try {
            if (std::rename(path_.c_str(), former(path_).c_str()) != 0)
                return; // neither can it grow
            open();
            size_ = 0;
        } catch (const std::exception&) {
            return;
        }
    }
    const auto written = ::write(file_.get(), text.data(), text.size());
    size_ += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
}

std::string last_words(const std::filesystem::path& log, std::size_t most) {
    auto text = end_of(log, most);
    if (text.size() < most)
        text = end_of(former(log), most - text.size()) + text;
    return std::string(trim(text));
}

} // namespace kata_vfio::shim
