// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

namespace kata_vfio::qemu {
namespace {

constexpr std::size_t tail_bytes = 64u << 10;

std::uint64_t highest_connection(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0)
        return 0;
    const auto from = std::max<off_t>(0, status.st_size - static_cast<off_t>(tail_bytes));
    std::string tail(static_cast<std::size_t>(status.st_size - from), '\0');
    const auto got = ::pread(fd, tail.data(), tail.size(), from);
    tail.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    // Only behind a line's times: a message may hold anything.
    constexpr std::string_view key = ",\"conn\":";
    std::uint64_t highest = 0;
    for (std::size_t begin = 0; begin < tail.size();) {
        const auto end = std::min(tail.find('\n', begin), tail.size());
        const auto line =
            std::string_view(tail).substr(begin, std::min<std::size_t>(end - begin, 120));
        if (const auto at = line.find(key); line.starts_with("{\"us\":") && at != line.npos) {
            std::uint64_t number = 0;
            std::from_chars(line.data() + at + key.size(), line.data() + line.size(), number);
            highest = std::max(highest, number);
        }
        begin = end + 1;
    }
    return highest;
}

} // namespace

WireFile::WireFile(std::filesystem::path path, std::uint64_t max_bytes, unsigned files)
    : path_(std::move(path)), max_bytes_(max_bytes), files_(std::max(files, 1u)) {}

std::filesystem::path WireFile::kept(unsigned number) const {
    return number == 0 ? path_
                       : std::filesystem::path(path_.native() + "." + std::to_string(number));
}

int WireFile::open() {
    // O_NONBLOCK: a FIFO somebody put there would hold up the open.
    fd_.reset(::open(path_.c_str(),
                     O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd_)
        return errno;
    struct stat status {};
    int problem = 0;
    if (::fstat(fd_.get(), &status) != 0)
        problem = errno;
    else if (!S_ISREG(status.st_mode))
        problem = EINVAL;
    size_ = static_cast<std::uint64_t>(status.st_size);
    char last = '\n';
    if (problem == 0 && size_ > 0 &&
        ::pread(fd_.get(), &last, 1, static_cast<off_t>(size_ - 1)) == 1 && last != '\n')
        problem = write("\n"); // whoever wrote before was cut off in a line
    if (problem != 0)
        fd_.reset();
    return problem;
}

int WireFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(fd_.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        bytes.remove_prefix(static_cast<std::size_t>(written));
        size_ += static_cast<std::uint64_t>(written);
    }
    return 0;
}

int WireFile::rotate() {
    struct stat ours {
    }, named{};
    // Another process may have rotated already: its new file is then simply opened.
    if (::fstat(fd_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
        // Those beyond the limit, of a time when it was higher, too.
        for (unsigned i = std::max(files_ - 1, 1u); ::unlink(kept(i).c_str()) == 0; ++i)
            ;
        for (unsigned i = files_ - 1; i > 0; --i)
            if (std::rename(kept(i - 1).c_str(), kept(i).c_str()) != 0 && errno != ENOENT)
                return errno;
        if (files_ == 1 && ::unlink(path_.c_str()) != 0 && errno != ENOENT)
            return errno;
    }
    return open();
}

int WireFile::append(std::string_view line, std::string_view header) {
    if (size_ > header.size() && size_ + line.size() > max_bytes_)
        if (const int problem = rotate(); problem != 0)
            return problem;
    if (size_ == 0)
        if (const int problem = write(header); problem != 0)
            return problem;
    return write(line);
}

std::uint64_t WireFile::last_connection() const {
    const auto here = fd_ ? highest_connection(fd_.get()) : 0;
    if (here != 0)
        return here;
    const UniqueFd before(::open(kept(1).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return before ? highest_connection(before.get()) : 0;
}

} // namespace kata_vfio::qemu
