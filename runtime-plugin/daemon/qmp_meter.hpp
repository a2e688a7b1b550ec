// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kata_vfio/v1/qmp.pb.h"
#include "runtime-plugin/daemon/metrics.hpp"
#include "runtime-plugin/daemon/wire_tail.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace kata_vfio::daemon {

/// Round trips of QMP commands, from what the wire logs of the open sandboxes say between two
/// scrapes: the plugin's connections are its own, their log is all that is seen of them from here.
/// read() is [any-thread], one at a time; `told` is called in it.
class QmpMeter {
  public:
    using Told = std::function<void(const std::string& command, Metrics::Duration took)>;

    /// Records of before `since_us` (CLOCK_MONOTONIC, which does not jump) are left out.
    QmpMeter(std::int64_t since_us, Told told) : since_us_(since_us), told_(std::move(told)) {}

    /// Reads on in the logs of these sandboxes, {id, log}; of others nothing is kept. One without a
    /// log is passed over.
    void read(boost::asio::io_context& loop,
              const std::vector<std::pair<std::string, std::filesystem::path>>& sandboxes);

    /// One record of a sandbox. Only what QEMU has answered without an error counts: any client of
    /// a proxy can send any name.
    void take(const std::string& sandbox, const v1::TraceRecord& record);

  private:
    struct Log {
        std::shared_ptr<WireTail> tail;
        /// By connection and id, the command and when it was sent.
        std::map<std::pair<std::uint64_t, std::string>, std::pair<std::string, std::int64_t>> sent;
    };
    std::mutex reading_;
    std::int64_t since_us_;
    Told told_;
    std::map<std::string, Log> logs_;
};

} // namespace kata_vfio::daemon
