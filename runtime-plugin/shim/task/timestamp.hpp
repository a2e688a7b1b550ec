// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <chrono>

namespace kata_vfio::shim {

inline void set_time(google::protobuf::Timestamp& out, std::chrono::system_clock::time_point at) {
    const auto since = at.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    out.set_seconds(seconds.count());
    out.set_nanos(static_cast<std::int32_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count()));
}

} // namespace kata_vfio::shim
