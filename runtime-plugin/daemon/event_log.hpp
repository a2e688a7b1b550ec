// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "kata_vfio/v1/sandboxes.pb.h"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::daemon {

/// The events of Watch: the last ones, each with its revision. What is appended is also written to
/// DIRECTORY/events, a JSON object (docs/json.md's way) a line, so that the next daemon goes on
/// where this one was killed; a full file becomes events.1. Nothing is synced: what a power cut
/// loses, the host has lost too. STEP events are not written. One thread.
class EventLog {
  public:
    static constexpr std::size_t capacity = 4096;
    /// Of what is kept in memory, as protobuf has it; a reconcile's report of a full host has
    /// hundreds of KiB. The last event is kept however large it is.
    static constexpr std::size_t most_bytes = 16u << 20;
    /// Of a file, before it becomes events.1.
    static constexpr std::size_t most_file_bytes = 32u << 20;

    using Shared = std::shared_ptr<const v1::Event>;
    using Clock = std::function<std::int64_t()>; ///< microseconds since 1970

    /// Reads what an earlier daemon has left; "" keeps nothing on disk. Lines that can't be read
    /// are left out, and so is a file of more than 256 MiB.
    explicit EventLog(std::filesystem::path directory, Clock clock = {});

    /// Gives it revision and time, keeps and writes it. A revision is the time in microseconds, or
    /// one more than the last where that is larger: so it grows over restarts too, whatever of the
    /// file was lost. Returns the revision.
    std::uint64_t append(v1::Event event);

    /// Of the last event; 0 when there never was one.
    std::uint64_t last() const noexcept { return last_; }
    /// Whether all events after `revision` are still here.
    bool reaches(std::uint64_t revision) const noexcept;
    /// The first event after `revision`; nullptr when there is none.
    Shared after(std::uint64_t revision) const;

    /// Called after each append; called back by name to be taken away.
    std::uint64_t subscribe(std::function<void()> wake);
    void unsubscribe(std::uint64_t name);

    /// What could not be written, once: the file is given up then. "" while all is well.
    const std::string& trouble() const noexcept { return trouble_; }

  private:
    void keep(Shared event);
    void read(const std::filesystem::path& file);
    void write(const v1::Event& event);
    void open();

    std::filesystem::path directory_;
    Clock clock_;
    std::deque<Shared> events_;
    std::size_t bytes_ = 0; ///< of all events_
    std::uint64_t last_ = 0;
    std::uint64_t dropped_to_ = 0; ///< revision of the last event that is not here any more
    UniqueFd file_;
    std::size_t lines_ = 0, file_bytes_ = 0;
    std::string trouble_;
    std::uint64_t next_name_ = 1;
    std::vector<std::pair<std::uint64_t, std::function<void()>>> subscribers_;
};

} // namespace kata_vfio::daemon
