// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/error.hpp"
#include "qemu/qmp/session.hpp"
#include "test/fixtures/fake_qmp/fake_qmp.hpp"
#include "test/fixtures/fake_qmp/run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace kata_vfio::qemu {

using None = std::vector<std::string>;

/// Nothing times out but what a test shortens.
inline Timeouts patient() {
    using namespace std::chrono_literals;
    Timeouts timeouts;
    timeouts.greeting = timeouts.query = timeouts.device_add = timeouts.device_del = 30s;
    timeouts.unplug = 30s;
    timeouts.unplug_resend = 10s;
    return timeouts;
}

inline void expect_text(const Failure& failure, Errc code, const std::string& text) {
    EXPECT_EQ(name(failure.code()), name(code));
    EXPECT_NE(std::string(failure.what()).find(text), std::string::npos) << failure.what();
}

} // namespace kata_vfio::qemu
