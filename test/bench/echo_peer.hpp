// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace kata_vfio::bench {

/// A QMP peer for thousands of clients, in a process of its own so that neither its memory nor its
/// CPU time counts as ours: greets, and answers each command at once with one and the same return.
class EchoPeer {
  public:
    EchoPeer();
    ~EchoPeer();
    EchoPeer(const EchoPeer&) = delete;
    EchoPeer& operator=(const EchoPeer&) = delete;

    const std::string& path() const noexcept { return path_; }

  private:
    std::string directory_, path_;
    pid_t pid_ = -1;
};

} // namespace kata_vfio::bench
