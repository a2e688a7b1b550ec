// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace kata_vfio::shim::ttrpc {

/// gRPC's codes, those a shim has use for. containerd maps them back to its errdefs.
enum class Code : int {
    ok = 0,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    already_exists = 6,
    resource_exhausted = 8,
    failed_precondition = 9,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
};

/// A call that fails with a code of its own. Any other exception is answered as Code::unknown with
/// its what().
class Error : public std::runtime_error {
  public:
    Error(Code code, const std::string& text) : std::runtime_error(text), code_(code) {}
    Code code() const noexcept { return code_; }

  private:
    Code code_;
};

} // namespace kata_vfio::shim::ttrpc
