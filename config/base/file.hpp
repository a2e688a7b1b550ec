// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <sys/stat.h>
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kata_vfio {

/// The whole file's bytes; nullopt when it does not exist (ENOENT, ENOTDIR, and ENODEV, which sysfs
/// gives when the device goes between open and read). Throws Failure (host_io, permission_denied)
/// on anything else, and when it is longer than `limit` bytes.
std::optional<std::string> read_file(const std::filesystem::path& path,
                                     std::size_t limit = 16u << 20);

/// What tells one content of a file from any other that was or will be at its path, as long as
/// contents are replaced by rename.
struct FileStamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};

    explicit FileStamp(const struct stat& st)
        : device(st.st_dev), inode(st.st_ino), size(st.st_size), modified(st.st_mtim) {}
    bool operator==(const FileStamp& other) const noexcept {
        return device == other.device && inode == other.inode && size == other.size &&
               modified.tv_sec == other.modified.tv_sec &&
               modified.tv_nsec == other.modified.tv_nsec;
    }
};

/// Replaces `path` by `bytes` so that a reader, and a crash at any instant, sees the old content or
/// the new one whole: temporary file beside it, fsync, rename, fsync of the directory. An existing
/// file keeps its mode and owner; a new one gets `mode`. A symbolic link is followed, not replaced.
/// Throws Failure naming the path; the old file is then untouched and no temporary is left, unless
/// the text says that it was the directory that could not be synced.
void write_atomically(const std::filesystem::path& path, std::string_view bytes,
                      mode_t mode = 0600);

/// write_atomically() in two halves: made, the new content is on disk beside the old one; commit()
/// puts it in its place. Dropped without a commit it is removed again.
class Replacement {
  public:
    Replacement(const std::filesystem::path& path, std::string_view bytes, mode_t mode = 0600);
    Replacement(Replacement&& other) noexcept
        : target_(std::move(other.target_)), in_memory_(other.in_memory_), stamp_(other.stamp_),
          temporary_(std::exchange(other.temporary_, {})) {}
    Replacement& operator=(Replacement&&) = delete;
    ~Replacement();

    /// Throws Failure when the file could not be put in its place: the old one is there then. What
    /// it returns is no failure of that: the new content is what every reader finds from now on,
    /// but a power cut may still bring the old one back, because the directory could not be synced.
    /// Undoing what the content tells of would make it untrue.
    [[nodiscard]] std::optional<Failure> commit();

    /// Of the new content. None on a disk's file system: those give a removed file's inode to the
    /// next one, and two written within one tick of the clock could not be told apart. Those in
    /// memory count on (get_next_ino() of fs/inode.c, shmem_reserve_inode() of mm/shmem.c).
    const std::optional<FileStamp>& stamp() const noexcept { return stamp_; }

  private:
    std::filesystem::path target_;
    bool in_memory_ = false; ///< its file system is, see in_memory()
    std::optional<FileStamp> stamp_;
    std::string temporary_; ///< "" once it is in its place
};

/// Whether `fd` is in a file system that lives in memory (tmpfs, ramfs), as /run does: a sync does
/// nothing there (noop_fsync of mm/shmem.c and fs/ramfs), and no kill takes what is written.
bool in_memory(int fd) noexcept;

/// fsync of a directory, so that a name made or removed in it is on disk.
void sync_directory(const std::filesystem::path& directory);

} // namespace kata_vfio
