// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/deadline.hpp"
#include "vfio/watch_pool.hpp"

#include <filesystem>
#include <functional>

namespace kata_vfio::vfio {

/// Waiting for names to come and go.
///
/// Every wait checks first: on sysfs a change is complete when the write that caused it returns, so
/// that is the whole cost. Else inotify is armed on the nearest existing directory and the check
/// repeated after arming, so that no event can fall in between.
///
/// sysfs itself sends no inotify event when the kernel makes or drops a name (kernfs calls fsnotify
/// only from sysfs_notify()). There, and only there, the name is looked at again every 20 ms.
///
/// `pool` is HostRoot::watches().

/// True as soon as `path` exists (a dangling symbolic link does), false at the deadline.
bool wait_exists(const std::filesystem::path& path, Deadline deadline, WatchPool& pool);

/// True as soon as `path` is gone, false at the deadline.
bool wait_gone(const std::filesystem::path& path, Deadline deadline, WatchPool& pool);

/// True as soon as `holds()` is true; it is asked again after every change of a name in
/// `directory`, or of the rights of what is there, or in the nearest directory above it that
/// exists.
bool wait_until(const std::filesystem::path& directory, const std::function<bool()>& holds,
                Deadline deadline, WatchPool& pool);

/// As wait_until(), for the effect of a control write that has just returned: on sysfs the answer
/// is final at once, and false is told without waiting.
bool settled(const std::filesystem::path& directory, const std::function<bool()>& holds,
             Deadline deadline, WatchPool& pool);

} // namespace kata_vfio::vfio
