// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace kata_vfio::mdev {

/// A mediated device's UUID: 36 characters, lower-case hex, 8-4-4-4-12. The kernel takes upper case
/// too but names the directory in lower case, so one device would have two names: upper case is
/// refused here. Source: drivers/vfio/mdev/mdev_sysfs.c create_store().
class Uuid {
  public:
    /// A fresh random (version 4) one, from the kernel's generator.
    static Uuid random();

    /// Throws Failure(malformed_uuid) that says what is wrong; an upper-case one is told its
    /// lower-case form. The nil UUID is refused: the kernel takes it, but it names nothing.
    static Uuid require(std::string_view text);

    /// Whether the text has the shape of a UUID in either case (to tell a UUID from a type name).
    static bool looks_like(std::string_view text) noexcept;

    const std::string& text() const noexcept { return text_; }
    bool operator==(const Uuid&) const = default;

  private:
    explicit Uuid(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

} // namespace kata_vfio::mdev
