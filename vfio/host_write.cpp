// SPDX-License-Identifier: Apache-2.0
#include "vfio/host_write.hpp"

#include "config/base/failure.hpp"
#include "vfio/helper_process.hpp"

#include <fcntl.h>

#include <cerrno>
#include <ostream>
#include <stdexcept>

namespace kata_vfio::vfio {
namespace {

void refuse_empty(const std::filesystem::path& path, std::string_view bytes) {
    if (bytes.empty())
        throw std::invalid_argument("a write of 0 bytes to " + path.string() +
                                    " would do nothing and look like success");
}

} // namespace

std::ostream& operator<<(std::ostream& out, HostWriteOutcome outcome) {
    switch (outcome) {
    case HostWriteOutcome::done:
        return out << "done";
    case HostWriteOutcome::failed:
        return out << "failed";
    case HostWriteOutcome::pending:
        return out << "pending";
    }
    return out;
}

HostWriteResult host_write(const std::filesystem::path& path, std::string_view bytes,
                           Deadline deadline) {
    refuse_empty(path, bytes);
    auto child = HelperAccess::start(HelperJob{path.c_str(), bytes.data(), bytes.size()});
    auto result = child.wait(deadline);
    if (result.outcome == HostWriteOutcome::pending)
        result.helper = std::move(child);
    return result;
}

HostWriteResult host_write_direct(const std::filesystem::path& path, std::string_view bytes) {
    refuse_empty(path, bytes);
    HostWriteResult result;
    const UniqueFd fd(::open(path.c_str(), helper_write_flags));
    if (!fd) {
        result.error = errno;
        result.at_open = true;
        return result;
    }
    ssize_t n = 0;
    do
        n = ::write(fd.get(), bytes.data(), bytes.size());
    while (n < 0 && errno == EINTR);
    // sysfs takes a value whole or not at all; a part taken would be a file of another kind.
    if (n == static_cast<ssize_t>(bytes.size()))
        result.outcome = HostWriteOutcome::done;
    else
        result.error = n < 0 ? errno : EIO;
    return result;
}

std::optional<std::string> host_read(const std::filesystem::path& path, Deadline deadline) {
    auto child = HelperAccess::start(HelperJob{path.c_str(), nullptr, 0});
    if (!HelperAccess::ended(child, deadline))
        return std::nullopt;
    return HelperAccess::text(child);
}

} // namespace kata_vfio::vfio
