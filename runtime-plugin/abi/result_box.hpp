// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"
#include "runtime-plugin/plugin/outcome.hpp"

#include <string>
#include <vector>

namespace kata_vfio::abi {

kata_vfio_str_t view(const std::string& text) noexcept;

/// An Outcome with the C structs that point into it. Not movable once built: hold it by pointer.
class ResultBox {
  public:
    /// `sandbox` is the handle made for outcome.sandbox, or null.
    ResultBox(std::uint64_t ticket, plugin::Outcome outcome, kata_vfio_sandbox_t* sandbox);
    ResultBox(const ResultBox&) = delete;
    ResultBox& operator=(const ResultBox&) = delete;

    kata_vfio_result_t* result() noexcept { return &result_; }

  private:
    void show_attachments();
    void show_sandboxes();

    plugin::Outcome outcome_;
    std::string message_, json_;
    std::vector<kata_vfio_attachment_t> attachments_;
    std::vector<kata_vfio_sandbox_info_t> sandboxes_;
    std::vector<const kata_vfio_attachment_t*> attachment_list_;
    std::vector<const kata_vfio_sandbox_info_t*> sandbox_list_;
    kata_vfio_result_t result_{};
};

} // namespace kata_vfio::abi
