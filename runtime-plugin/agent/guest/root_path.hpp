// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <string>
#include <utility>

namespace kata_vfio::agent {

/// Paths inside a container's root file system, before it is the root: a symbolic link in an image
/// leads to where it would lead inside (openat2, RESOLVE_IN_ROOT), never out of it.
class RootPath {
  public:
    explicit RootPath(const std::string& directory);

    /// An O_PATH descriptor of what is there. Throws SystemError.
    UniqueFd at(const std::string& path) const;
    /// The same; a directory, or (an empty) file, is made first when there is none, with the
    /// directories above it.
    UniqueFd make_directory(const std::string& path) const;
    UniqueFd make_file(const std::string& path) const;
    /// "/proc/self/fd/N": what mount(2) can be given for a descriptor.
    static std::string mountable(const UniqueFd& fd);
    /// The directory of `path` (made when needed) and its last component, for mknodat and the like.
    std::pair<UniqueFd, std::string> parent_of(const std::string& path) const;

  private:
    UniqueFd open(const std::string& path, unsigned long long flags) const;

    UniqueFd root_;
};

} // namespace kata_vfio::agent
