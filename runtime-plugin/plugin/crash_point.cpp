// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/crash_point.hpp"

#ifdef KATA_VFIO_CRASH_POINTS

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace kata_vfio::plugin {
namespace {

struct Wish {
    std::string name;
    int trace = -1;
    int number = 0; ///< errno or descriptor; 0: die
    std::atomic<int> skip{0};
    std::atomic<bool> paused{false};

    Wish() {
        // Of a test's child, which sets it before its first call and never after.
        const char* at = std::getenv("KATA_VFIO_CRASH_AT");        // NOLINT(concurrency-mt-unsafe)
        const char* skipped = std::getenv("KATA_VFIO_CRASH_SKIP"); // NOLINT(concurrency-mt-unsafe)
        const char* traced = std::getenv("KATA_VFIO_CRASH_TRACE"); // NOLINT(concurrency-mt-unsafe)
        trace = traced ? std::atoi(traced) : -1;
        if (!at)
            return;
        name = at;
        if (const auto colon = name.find(':'); colon != std::string::npos) {
            number = std::atoi(name.c_str() + colon + 1);
            name.resize(colon);
        }
        skip = skipped ? std::atoi(skipped) : 0;
    }
};

void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;)
        ::pause(); // the signal may take another thread first
}

/// What is to be done at this pass; null: nothing.
Wish* wished(CrashPoint point) {
    static Wish wish;
    if (wish.trace >= 0) {
        const auto line = std::string(crash_point_names[static_cast<std::size_t>(point)]) + "\n";
        if (::write(wish.trace, line.data(), line.size()) < 0)
            die(); // the test is gone
    }
    if (wish.name.empty() || crash_point_names[static_cast<std::size_t>(point)] != wish.name)
        return nullptr;
    return wish.skip.fetch_sub(1) > 0 ? nullptr : &wish;
}

} // namespace

void crash_point(CrashPoint point) {
    auto* wish = wished(point);
    if (!wish)
        return;
    if (wish->number == 0)
        die();
    if (wish->paused.exchange(true))
        return;
    char byte = 'x';
    if (::write(wish->number, &byte, 1) != 1 || ::read(wish->number, &byte, 1) != 1)
        die(); // the test is gone
}

int write_fault(CrashPoint point) {
    const auto* wish = wished(point);
    if (!wish)
        return 0;
    if (wish->number == 0)
        die();
    return wish->number;
}

} // namespace kata_vfio::plugin

#endif
