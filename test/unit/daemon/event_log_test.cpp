// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/event_log.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace kata_vfio::daemon {
namespace {

namespace fs = std::filesystem;

struct Events : testing::Test {
    Events() {
        std::string name = (fs::temp_directory_path() / "kata-vfio-events.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("can't make a directory");
        directory = name;
    }
    ~Events() override { fs::remove_all(directory); }

    EventLog log(fs::path where) {
        return EventLog(std::move(where), [this] { return now; });
    }
    static v1::Event event(const std::string& text,
                           v1::Event::Kind kind = v1::Event::KIND_MONITOR) {
        v1::Event one;
        one.set_kind(kind);
        one.set_text(text);
        return one;
    }

    fs::path directory;
    std::int64_t now = 1000;
};

TEST_F(Events, ARevisionIsTheTimeOrOneMoreThanTheLast) {
    auto events = log({});
    EXPECT_EQ(events.last(), 0u);
    EXPECT_EQ(events.append(event("a")), 1000u);
    EXPECT_EQ(events.append(event("b")), 1001u);
    now = 5000;
    EXPECT_EQ(events.append(event("c")), 5000u);
    now = 10; // the clock was set back
    EXPECT_EQ(events.append(event("d")), 5001u);
    EXPECT_EQ(events.after(0)->text(), "a");
    EXPECT_EQ(events.after(1000)->text(), "b");
    EXPECT_EQ(events.after(3000)->text(), "c");
    EXPECT_EQ(events.after(5001), nullptr);
    EXPECT_EQ(events.after(5001 - 1)->time_us(), 10);
}

TEST_F(Events, OnlyTheLastOnesAreKept) {
    auto events = log({});
    for (std::size_t i = 0; i <= EventLog::capacity; ++i)
        events.append(event(std::to_string(i)));
    EXPECT_FALSE(events.reaches(0));
    EXPECT_FALSE(events.reaches(999));
    EXPECT_TRUE(events.reaches(1000)); // has seen the one that was dropped
    EXPECT_EQ(events.after(1000)->text(), "1");
    EXPECT_TRUE(events.reaches(events.last()));
    EXPECT_FALSE(events.reaches(events.last() + 1));
}

TEST_F(Events, TheNextDaemonGoesOnWhereThisOneStopped) {
    std::uint64_t last = 0;
    {
        auto events = log(directory);
        events.append(event("a"));
        events.append(event("step", v1::Event::KIND_STEP));
        last = events.append(event("b"));
    }
    auto events = log(directory);
    EXPECT_EQ(events.last(), last);
    EXPECT_EQ(events.after(0)->text(), "a");
    EXPECT_EQ(events.after(1000)->text(), "b") << "a step is not kept";
    EXPECT_TRUE(events.reaches(1000));
    EXPECT_GT(events.append(event("c")), last);
}

TEST_F(Events, ALineThatAKillCutOffCostsItself) {
    {
        auto events = log(directory);
        events.append(event("a"));
        std::ofstream(directory / "events", std::ios::app) << "{\"revision\":1001,\"ki";
    }
    {
        auto events = log(directory);
        EXPECT_EQ(events.last(), 1000u);
        now = 2000;
        events.append(event("b"));
    }
    auto events = log(directory);
    EXPECT_EQ(events.last(), 2000u);
    EXPECT_EQ(events.after(1000)->text(), "b");
}

TEST_F(Events, RubbishIsLeftOut) {
    std::ofstream(directory / "events") << "\n[]\n{\"revision\":\"x\"}\n\xff\n"
                                        << "{\"revision\":7,\"kind\":\"monitor\",\"text\":\"a\"}\n"
                                        << "{\"revision\":6,\"text\":\"earlier\"}\n";
    auto events = log(directory);
    EXPECT_EQ(events.last(), 7u);
    EXPECT_EQ(events.after(0)->kind(), v1::Event::KIND_MONITOR);
}

TEST_F(Events, AFullFileIsTurnedOverAndBothAreRead) {
    std::uint64_t last = 0;
    {
        auto events = log(directory);
        for (std::size_t i = 0; i < EventLog::capacity + 10; ++i)
            last = events.append(event(std::to_string(i)));
    }
    EXPECT_TRUE(fs::exists(directory / "events.1"));
    auto events = log(directory);
    EXPECT_EQ(events.last(), last);
    EXPECT_TRUE(events.reaches(last - EventLog::capacity));
    EXPECT_FALSE(events.reaches(last - EventLog::capacity - 1));
}

TEST_F(Events, WhatCanNotBeWrittenIsToldOnceAndKeptInMemory) {
    auto events = log(directory / "missing");
    EXPECT_NE(events.trouble(), "");
    events.append(event("a"));
    EXPECT_EQ(events.after(0)->text(), "a");
}

TEST_F(Events, SubscribersAreWokenAndMayLeaveMeanwhile) {
    auto events = log({});
    int woken = 0;
    std::uint64_t name = 0;
    name = events.subscribe([&] {
        ++woken;
        events.unsubscribe(name);
    });
    events.append(event("a"));
    events.append(event("b"));
    EXPECT_EQ(woken, 1);
}

TEST_F(Events, LargeOnesAreBoundedByTheirBytes) {
    auto events = log(directory);
    const std::string mebibyte(1u << 20, 'x');
    for (int i = 0; i < 100; ++i)
        events.append(event(mebibyte));
    std::size_t kept = 0;
    for (auto one = events.after(events.last() - 100); one; one = events.after(one->revision()))
        ++kept;
    EXPECT_EQ(kept, EventLog::most_bytes / (1u << 20) - 1) << "each has a little more than that";
    EXPECT_FALSE(events.reaches(0));
    for (const auto* name : {"events", "events.1"})
        EXPECT_LE(fs::file_size(directory / name), EventLog::most_file_bytes) << name;
    const auto last = events.last();
    const auto next = log(directory);
    EXPECT_EQ(next.last(), last);
    EXPECT_TRUE(next.reaches(last - 10));
}

TEST_F(Events, OneThatIsLargerThanAllIsKept) {
    auto events = log(directory);
    events.append(event("small"));
    events.append(event(std::string(2 * EventLog::most_bytes, 'x')));
    EXPECT_EQ(events.after(events.last() - 1)->text().size(), 2 * EventLog::most_bytes);
    events.append(event("small"));
    EXPECT_EQ(events.after(events.last() - 1)->text(), "small");
}

TEST_F(Events, AFileThatIsTooLongIsNoReasonNotToServe) {
    std::ofstream(directory / "events").put('\n');
    fs::resize_file(directory / "events", (std::uintmax_t{256} << 20) + 1);
    auto events = log(directory);
    EXPECT_NE(events.trouble().find("is longer than"), std::string::npos) << events.trouble();
    const auto revision = events.append(event("a"));
    EXPECT_LT(fs::file_size(directory / "events"), 1000u) << "a new one";
    fs::remove(directory / "events.1");
    EXPECT_EQ(log(directory).last(), revision);
}

} // namespace
} // namespace kata_vfio::daemon
