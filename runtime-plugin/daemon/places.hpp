// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace kata_vfio::daemon {

/// A number of places, each taken by one that holds it. [any-thread] A place may outlive this.
class Places {
  public:
    explicit Places(std::size_t most) : most_(most) {}

    /// The place, given back with the pointer's last copy; nullptr when all are taken.
    std::shared_ptr<void> take() {
        if (taken_->fetch_add(1) >= most_) {
            taken_->fetch_sub(1);
            return nullptr;
        }
        return {taken_.get(), [taken = taken_](void*) { taken->fetch_sub(1); }};
    }
    std::size_t taken() const noexcept { return taken_->load(); }
    std::size_t most() const noexcept { return most_; }

  private:
    std::size_t most_;
    std::shared_ptr<std::atomic<std::size_t>> taken_ =
        std::make_shared<std::atomic<std::size_t>>(0);
};

} // namespace kata_vfio::daemon
