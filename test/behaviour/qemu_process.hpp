// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace kata_vfio::behaviour {

/// The QEMU under test: $KATA_VFIO_QEMU, or qemu-system-x86_64 from the PATH.
std::string qemu_program();

/// Runs a program to its end; what it wrote to stdout and stderr. Throws when it can't be run.
struct Finished {
    int status = 0; ///< exit status, or 128 + signal
    std::string output;
};
Finished run_program(const std::vector<std::string>& words);

/// A real QEMU under TCG without a guest system: the firmware runs and finds nothing to boot. Its
/// monitor sockets are made and listened on before QEMU starts, so the first connect() just waits
/// for the greeting. Killed with its test.
class QemuProcess {
  public:
    /// "{dir}" in an argument is directory().
    explicit QemuProcess(const std::string& machine = "pc",
                         const std::vector<std::string>& arguments = {}, unsigned monitors = 1);
    ~QemuProcess();
    QemuProcess(const QemuProcess&) = delete;
    QemuProcess& operator=(const QemuProcess&) = delete;

    const std::string& directory() const noexcept { return directory_; }
    /// Socket of monitor `index`.
    std::string monitor(unsigned index = 0) const;
    /// SIGKILL; returns when the process is gone.
    void kill();
    /// SIGSTOP; returns when every thread of it has stopped.
    void freeze();
    void thaw();

  private:
    std::string directory_;
    unsigned monitors_;
    pid_t pid_ = -1;
};

} // namespace kata_vfio::behaviour
