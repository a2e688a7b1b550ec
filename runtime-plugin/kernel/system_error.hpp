// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace kata_vfio {

/// A step that did not work, with the kernel's word for it.
class SystemError : public std::runtime_error {
  public:
    SystemError(const std::string& what, int number)
        : std::runtime_error(what + ": " + std::strerror(number)), number_(number) {}
    int number() const noexcept { return number_; }

  private:
    int number_;
};

/// `result` of a system call, or SystemError with errno when it is below 0.
template <class T>
T must(T result, const std::string& what) {
    if (result < 0)
        throw SystemError(what, errno);
    return result;
}

} // namespace kata_vfio
