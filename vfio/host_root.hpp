// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/watch_pool.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace kata_vfio::vfio {

/// Where the host's file systems hang. Nothing else in the project writes "/sys", "/dev", "/proc",
/// "/boot" or "/run" as a path to open: tests give a directory of their own, production "/".
///
/// Paths told to others (sysfsdev for QEMU, texts for people) are host paths and start at "/":
/// told() takes the root off again.
class HostRoot {
  public:
    explicit HostRoot(std::filesystem::path root = "/") : root_(std::move(root)) {}

    std::filesystem::path sys(std::string_view below = {}) const { return at("sys", below); }
    std::filesystem::path dev(std::string_view below = {}) const { return at("dev", below); }
    std::filesystem::path proc(std::string_view below = {}) const { return at("proc", below); }
    std::filesystem::path run(std::string_view below = {}) const { return at("run", below); }
    std::filesystem::path boot(std::string_view below = {}) const { return at("boot", below); }
    std::filesystem::path lib(std::string_view below = {}) const { return at("lib", below); }

    /// As a text, for one that is only to be opened: a path takes itself apart, component by
    /// component, which costs more than the system call it is for.
    std::string text(std::string_view top, std::string_view below) const {
        std::string text = root_.native();
        for (const auto part : {top, below})
            if (!part.empty())
                text.append(text.ends_with('/') ? "" : "/").append(part);
        return text;
    }

    /// Shared by all copies of this root.
    WatchPool& watches() const noexcept { return *watches_; }

    const std::filesystem::path& root() const noexcept { return root_; }
    bool is_real() const { return root_.native() == "/"; }

    /// The path as the host itself names it: /tmp/fake/sys/bus -> /sys/bus.
    std::filesystem::path told(const std::filesystem::path& path) const {
        if (is_real())
            return path;
        const auto relative = path.lexically_relative(root_);
        if (relative.empty() || *relative.begin() == "..")
            return path;
        return std::filesystem::path("/") / relative;
    }

  private:
    std::filesystem::path at(std::string_view top, std::string_view below) const {
        // One string, parsed once: each operator/ of libstdc++ copies the list of components.
        return text(top, below);
    }

    std::filesystem::path root_;
    std::shared_ptr<WatchPool> watches_ = std::make_shared<WatchPool>();
};

} // namespace kata_vfio::vfio
