// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/state_dir.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/temporary_name.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

/// No sandbox's id begins so.
const std::string removed_prefix = ".removed-";
constexpr std::string_view state_name = "state.json";

UniqueFd open_lock(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

bool flock_fd(int fd, int how) {
    int result = 0;
    do
        result = ::flock(fd, how);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/// Whether the locked file is still the one the path names: its directory may have been removed,
/// and made again, between our open and our lock.
bool still_there(int fd, const std::string& path) {
    struct stat ours {
    }, named{};
    return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/// The temporary files in a directory: of the file `target`, or of any record ("").
std::vector<fs::path> temporaries_in(const fs::path& directory, std::string_view target) {
    std::vector<fs::path> found;
    try {
        for (const auto& name : vfio::names_in(directory)) {
            const auto of = std::string_view(name).substr(0, name.rfind('.'));
            if (of.ends_with(".json") && (target.empty() || of == target) &&
                is_temporary_of(name, of))
                found.push_back(directory / name);
        }
    } catch (const Failure&) { // it may not be looked at: left for the next time
    }
    return found;
}

void note_holder(int fd) {
    const auto text = std::to_string(::getpid()) + "\n";
    char there[32];
    const auto size = ::pread(fd, there, sizeof there, 0);
    if (size > 0 && std::string_view(there, static_cast<std::size_t>(size)) == text)
        return; // as most often: it was us before
    // The pid only serves the text of somebody's refusal: failing to write it is no failure.
    if (::ftruncate(fd, 0) != 0 ||
        ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        return;
}

} // namespace

std::vector<std::string> StateDir::sandbox_ids() const {
    std::vector<std::string> ids;
    std::error_code ec;
    for (fs::directory_iterator it(path_ / "sandboxes", ec), end; !ec && it != end;
         it.increment(ec))
        if (it->is_directory(ec) && !it->path().filename().native().starts_with(removed_prefix))
            ids.push_back(it->path().filename().string());
    if (ec && ec != std::errc::no_such_file_or_directory)
        throw host_failure(ec.value(), "can't list " + (path_ / "sandboxes").string());
    std::sort(ids.begin(), ids.end());
    return ids;
}

void StateDir::ensure(const fs::path& directory) const {
    if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST)
        return;
    if (errno == ENOENT && directory.has_parent_path() && directory != directory.parent_path()) {
        ensure(directory.parent_path());
        if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST)
            return;
    }
    throw host_failure(errno, "can't make the directory " + directory.string());
}

FileLock StateDir::lock() const {
    const auto path = path_.native() + "/lock";
    const auto open = [&] { return open_lock(path); };
    auto fd = open();
    if (!fd && errno == ENOENT) {
        ensure(path_);
        fd = open();
    }
    if (!fd)
        throw host_failure(errno, "can't open the lock " + path);
    if (!flock_fd(fd.get(), LOCK_EX))
        throw host_failure(errno, "can't take the lock " + path);
    return FileLock(std::move(fd));
}

FileLock StateDir::lock_sandbox(const std::string& id) const {
    const auto path = sandboxes_ + id + "/lock";
    for (;;) {
        auto fd = open_lock(path);
        if (!fd && errno == ENOENT) {
            ensure(sandbox(id)); // new, or removed under us by a release
            continue;
        }
        if (!fd)
            throw host_failure(errno, "can't open the lock " + path);
        if (!flock_fd(fd.get(), LOCK_EX | LOCK_NB)) {
            if (errno != EWOULDBLOCK)
                throw host_failure(errno, "can't take the lock " + path);
            const auto holder = read_file(path, 64).value_or("");
            throw Failure(Errc::sandbox_busy, "another process is changing sandbox " + id)
                .blocked_by(trim(holder).empty() ? "a process that did not say who it is"
                                                 : "pid " + std::string(trim(holder)))
                .remedy("try again when it is done");
        }
        if (still_there(fd.get(), path)) {
            note_holder(fd.get());
            return FileLock(std::move(fd));
        }
    }
}

bool StateDir::sandbox_locked(const std::string& id) const {
    UniqueFd fd(::open((sandbox(id) / "lock").c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || flock_fd(fd.get(), LOCK_SH | LOCK_NB)) {
        if (fd)
            ::flock(fd.get(), LOCK_UN);
        return false;
    }
    return errno == EWOULDBLOCK;
}

void StateDir::clear_removed() const {
    clear_removed_but({});
}

void StateDir::clear_removed_but(const fs::path& one) const {
    // They may be somebody's who is at it: whatever goes wrong here does so for that one too.
    std::error_code ec;
    for (fs::directory_iterator it(path_ / "sandboxes", ec), end; !ec && it != end;
         it.increment(ec))
        if (std::error_code not_ours;
            it->path() != one && it->path().filename().native().starts_with(removed_prefix))
            fs::remove_all(it->path(), not_ours);
}

void StateDir::clear_temporaries() const {
    for (const auto& id : sandbox_ids()) {
        if (temporaries_in(sandbox(id), state_name).empty())
            continue;
        const UniqueFd fd(::open((sandbox(id) / "lock").c_str(), O_RDWR | O_CLOEXEC));
        if (!fd || !flock_fd(fd.get(), LOCK_EX | LOCK_NB))
            continue; // somebody's who is at it
        clear_temporaries(id);
        ::flock(fd.get(), LOCK_UN); // not by closing alone: see FileLock
    }
    std::vector<fs::path> records;
    for (const auto& directory : {bound(), path_ / "sriov"})
        for (auto& file : temporaries_in(directory, {}))
            records.push_back(std::move(file));
    if (records.empty())
        return;
    const auto held = lock(); // which their writers have
    for (const auto& file : records)
        ::unlink(file.c_str());
}

void StateDir::clear_temporaries(const std::string& id) const {
    for (const auto& file : temporaries_in(sandbox(id), state_name))
        ::unlink(file.c_str());
}

void StateDir::remove_sandbox(const std::string& id) const {
    // Away under another name at one instant: emptied where it is, it would meet a process that
    // opens the sandbox anew and locks a lock of its own between two of our unlinks.
    static std::atomic<unsigned> count = 0;
    const auto parent = path_ / "sandboxes";
    fs::path gone;
    int error = 0;
    do { // a process of our pid may have been killed at this point before
        gone =
            parent / (removed_prefix + std::to_string(::getpid()) + "." + std::to_string(++count));
        error = ::rename(sandbox(id).c_str(), gone.c_str()) == 0 ? 0 : errno;
    } while (error == ENOTEMPTY || error == EEXIST);
    if (error != 0)
        throw host_failure(error, "can't remove " + sandbox(id).string());
    sync_directory(parent);
    crash_point(CrashPoint::remove_renamed);
    clear_removed_but(gone);
    std::error_code ec;
    // So may ours be another's: what that one takes away under our hands is no failure.
    do {
        fs::remove_all(gone, ec);
        if (ec && ec != std::errc::no_such_file_or_directory &&
            ec != std::errc::directory_not_empty)
            throw host_failure(ec.value(), "can't remove " + gone.string());
    } while (fs::exists(gone, ec));
}

} // namespace kata_vfio::plugin
