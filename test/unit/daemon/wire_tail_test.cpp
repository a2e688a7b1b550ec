// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_reader.hpp"
#include "runtime-plugin/daemon/wire_tail.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>
#include <vector>

namespace kata_vfio::daemon {
namespace {

namespace fs = std::filesystem;

struct Tail : testing::Test {
    Tail() {
        std::string name = (fs::temp_directory_path() / "kata-vfio-tail.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("can't make a directory");
        directory = name;
    }
    ~Tail() override { fs::remove_all(directory); }

    void add(const std::string& file, const std::string& command) const {
        std::ofstream out(directory / file, std::ios::app);
        if (out.tellp() == 0)
            out << R"({"us":1,"wall_us":1,"kind":"log","version":1,"pid":1})" << '\n';
        out << R"({"us":2,"wall_us":2,"conn":1,"kind":"sent","message":{"execute":")" << command
            << "\"}}\n";
    }
    std::vector<std::string> texts(WireTail& tail) const {
        std::vector<std::string> all;
        while (const auto record = tail.next())
            all.push_back(record->text());
        return all;
    }
    static std::vector<std::string> commands(std::vector<std::string> names) {
        for (auto& name : names)
            name = R"({"execute":")" + name + "\"}";
        return names;
    }

    fs::path directory;
    boost::asio::io_context loop;
    v1::TraceRequest request;
};

TEST_F(Tail, TheOldestFileFirstAndNothingBeforeItIsAskedFor) {
    add("wire.log.2", "a");
    add("wire.log.1", "b");
    add("wire.log", "c");
    WireTail tail(loop, directory / "wire.log", request, [] {});
    add("wire.log.2", "late"); // who has read all of it at the beginning has not this
    EXPECT_EQ(texts(tail), commands({"a", "late", "b", "c"}));
    EXPECT_TRUE(tail.ended());
}

TEST_F(Tail, ARotationMeanwhile) {
    add("wire.log.1", "a");
    add("wire.log", "b");
    WireTail tail(loop, directory / "wire.log", request, [] {});
    fs::rename(directory / "wire.log.1", directory / "wire.log.2");
    fs::rename(directory / "wire.log", directory / "wire.log.1");
    add("wire.log", "c");
    EXPECT_EQ(texts(tail), commands({"a", "b", "c"}));
}

TEST_F(Tail, OnlyNew) {
    add("wire.log.1", "a");
    add("wire.log", "b");
    request.set_only_new(true);
    WireTail tail(loop, directory / "wire.log", request, [] {});
    add("wire.log", "c");
    EXPECT_EQ(texts(tail), commands({"c"}));
}

TEST_F(Tail, ALineThatCantBeReadIsToldAndHidesNoOther) {
    add("wire.log", "a");
    std::ofstream(directory / "wire.log", std::ios::app) << "no JSON\n";
    add("wire.log", "b");
    WireTail tail(loop, directory / "wire.log", request, [] {});
    EXPECT_EQ(tail.next()->kind(), v1::TraceRecord::KIND_SENT);
    const auto unreadable = tail.next();
    ASSERT_TRUE(unreadable);
    EXPECT_EQ(unreadable->kind(), v1::TraceRecord::KIND_UNREADABLE);
    EXPECT_EQ(unreadable->why().substr(0, 10), "not JSON: ");
    EXPECT_EQ(texts(tail), commands({"b"}));
}

/// As `kata-vfio trace` of the same files (wire_reader.hpp).
TEST_F(Tail, EmptyLinesTornOnesAndAnotherVersionAreWhatTheyAreToTheReaderOfFiles) {
    const auto write = [&](const char* file, const std::string& text) {
        std::ofstream(directory / file, std::ios::app) << text;
    };
    write("wire.log.1", R"({"us":1,"wall_us":1,"kind":"log","version":99,"pid":1})"
                        "\n\n\n"
                        R"({"us":2,"wall_us":2,"conn":1,"kind":"sent","message":{"exec)");
    add("wire.log", "a");
    write("wire.log", R"({"us":2,"wall_us":2,"conn":1,"kind":"closed"})"); // whole, if not ended
    WireTail tail(loop, directory / "wire.log", request, [] {});
    std::vector<std::string> told;
    const auto all = [&](const auto& next) {
        while (const auto record = next())
            told.push_back(record->kind() == v1::TraceRecord::KIND_UNREADABLE
                               ? record->why()
                               : v1::TraceRecord::Kind_Name(record->kind()));
    };
    all([&] { return tail.next(); });
    all([&] { return tail.rest(); });
    EXPECT_TRUE(tail.ended());
    const auto history = qemu::read_wire_log(directory / "wire.log");
    ASSERT_EQ(history.problems.size(), 2u);
    EXPECT_EQ(history.problems[0], "wire.log.1:1: " + told.at(0));
    EXPECT_EQ(history.problems[1], "wire.log.1:4: " + told.at(1));
    EXPECT_NE(told[1].find("the last line is cut off"), std::string::npos);
    ASSERT_EQ(told.size(), 4u);
    EXPECT_EQ(told[2], "KIND_SENT");
    EXPECT_EQ(told[3], "KIND_CLOSED");
    EXPECT_EQ(history.records.size(), 2u);
}

TEST_F(Tail, ALineThatIsBeingWrittenIsNotCutOff) {
    add("wire.log", "a");
    const std::string line =
        R"({"us":2,"wall_us":2,"conn":1,"kind":"sent","message":{"execute":"b"}})";
    std::ofstream(directory / "wire.log", std::ios::app) << line.substr(0, 30);
    request.set_follow(true);
    const auto tail = std::make_shared<WireTail>(loop, directory / "wire.log", request, [] {});
    EXPECT_EQ(texts(*tail), commands({"a"}));
    EXPECT_FALSE(tail->rest());
    std::ofstream(directory / "wire.log", std::ios::app) << line.substr(30) << '\n';
    EXPECT_EQ(texts(*tail), commands({"b"}));
    EXPECT_FALSE(tail->ended());
}

TEST_F(Tail, FollowedItEndsWithTheDirectory) {
    add("wire.log", "a");
    request.set_follow(true);
    int woken = 0;
    const auto tail =
        std::make_shared<WireTail>(loop, directory / "wire.log", request, [&] { ++woken; });
    tail->begin();
    EXPECT_EQ(texts(*tail), commands({"a"}));
    add("wire.log", "b"); // the last words, and then as a release does it
    const auto gone = directory.string() + ".gone";
    fs::rename(directory, gone);
    fs::remove_all(gone);
    for (const int before = woken; !tail->ended();) {
        ASSERT_GT(loop.run_one_for(std::chrono::seconds(20)), 0u);
        EXPECT_GT(woken, before);
        for (const auto& text : texts(*tail))
            EXPECT_EQ(text, commands({"b"})[0]);
    }
    tail->close();
}

TEST_F(Tail, BytesThatAreNoUtf8AreAMessageAllTheSame) {
    std::ofstream(directory / "wire.log", std::ios::app)
        << R"({"kind":"received","us":1,"conn":1,"text":"\u00ff\u0041"})" << '\n';
    WireTail tail(loop, directory / "wire.log", request, [] {});
    const auto record = tail.next();
    ASSERT_TRUE(record);
    EXPECT_EQ(record->text(), "\xef\xbf\xbd"
                              "A");
    v1::TraceRecord read;
    EXPECT_TRUE(read.ParseFromString(record->SerializeAsString()));
}

} // namespace
} // namespace kata_vfio::daemon
