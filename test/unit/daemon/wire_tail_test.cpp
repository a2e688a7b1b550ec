// SPDX-License-Identifier: Apache-2.0
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
