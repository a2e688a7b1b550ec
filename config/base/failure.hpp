// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/errc.hpp"

#include <exception>
#include <string>
#include <utility>

namespace kata_vfio {

/// What every room throws: a code for decisions and a diagnostic for people.
///
/// The parts are kept apart so that --json, the C ABI and later gRPC details can carry them one by
/// one; what() joins them into one line. No part repeats another.
///
///     throw Failure(Errc::group_not_viable, "IOMMU group 4 is not viable")
///         .blocked_by("0000:00:1f.2 is bound to ahci")
///         .remedy("bind it to vfio-pci or unbind it");
class Failure : public std::exception {
  public:
    Failure(Errc code, std::string problem);

    /// The kernel's or QEMU's own words, never edited.
    Failure& said(std::string words);
    /// strerror(number) as said(); keeps the number for callers that decide on it.
    Failure& sys(int number);
    /// Who or what stands in the way: a pid and command, a driver, a sibling's address.
    Failure& blocked_by(std::string who);
    /// What the reader can do about it, as an imperative.
    Failure& remedy(std::string what);
    /// What we were doing, outermost first: each caller may put its own in front.
    Failure& during(const std::string& action);

    Errc code() const noexcept { return code_; }
    int sys_errno() const noexcept { return errno_; }
    const std::string& action() const noexcept { return action_; }
    const std::string& problem() const noexcept { return problem_; }
    const std::string& verbatim() const noexcept { return said_; }
    const std::string& blocker() const noexcept { return blocker_; }
    const std::string& advice() const noexcept { return remedy_; }

    /// "action: problem: said (blocked by blocker); remedy", parts that are empty left out.
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    void render();

    Errc code_;
    int errno_ = 0;
    std::string action_, problem_, said_, blocker_, remedy_, text_;
};

/// The code of whatever exception is given: Failure's own, internal for all others.
Errc code_of(const std::exception_ptr& error) noexcept;

/// A Failure for an errno met on a host file: EACCES/EPERM become permission_denied, else host_io.
Failure host_failure(int number, std::string problem);

} // namespace kata_vfio
