// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/journal.hpp"

#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JournalTest : public ::testing::Test {
  protected:
    std::vector<std::string> left() const {
        std::vector<std::string> steps;
        const auto journal = read_journal(directory.path());
        for (const auto& step : journal->steps)
            steps.push_back(text(step));
        return steps;
    }
    Failure corrupt(const std::string& bytes) const {
        directory.write("journal", bytes);
        const auto failure = failure_of([&] { read_journal(directory.path()); });
        EXPECT_EQ(name(failure.code()), name(Errc::state_corrupt)) << failure.what();
        EXPECT_EQ(directory.read("journal"), bytes) << "it must be left as it is";
        return failure;
    }

    TempDir directory;
};

constexpr const char* begin = R"({"v":1,"begin":"attach","pid":1,"ids":["vfio-x"]})"
                              "\n";
constexpr const char* claim = R"({"v":1,"intent":{"step":"claim","claim":"group-1"}})"
                              "\n";

TEST_F(JournalTest, NoneAtFirst) {
    EXPECT_EQ(read_journal(directory.path()), std::nullopt);
    EXPECT_EQ(read_journal(directory.path() / "not there"), std::nullopt);
}

TEST_F(JournalTest, RemembersWhatIsIntended) {
    Journal journal(directory.path());
    journal.begin("attach", {"vfio-a", "vfio-b"});
    EXPECT_THAT(left(), ElementsAre());
    journal.intend(ClaimStep{"mdev-a"});
    EXPECT_THAT(left(), ElementsAre("claim mdev-a")); // before it is taken
    journal.done();
    journal.intend(CreateVgpuStep{"a", "0000:00:02.0", "t"});
    journal.done();
    journal.intend(PlugStep{"vfio-a"});
    EXPECT_THAT(left(), ElementsAre("claim mdev-a", "create vGPU a of type t on 0000:00:02.0",
                                    "plug vfio-a into pci.0"));
    const auto found = read_journal(directory.path());
    EXPECT_EQ(found->operation, "attach");
    EXPECT_THAT(found->ids, ElementsAre("vfio-a", "vfio-b"));
    EXPECT_EQ(journal.steps().size(), 3u);
    journal.clear();
    EXPECT_EQ(read_journal(directory.path()), std::nullopt);
    EXPECT_EQ(journal.steps().size(), 0u);
    journal.begin("attach", {}); // and again
    EXPECT_THAT(left(), ElementsAre());
}

// A write is what an attach waits for: "begin" and "done" tell a recovery nothing by themselves.
TEST_F(JournalTest, BeginAndDoneGoWithTheNextLine) {
    Journal journal(directory.path());
    const auto lines = [&] {
        const auto bytes = directory.read("journal");
        return std::count(bytes.begin(), bytes.end(), '\n');
    };
    journal.begin("attach", {"vfio-a"});
    EXPECT_EQ(lines(), 0);
    journal.intend(ClaimStep{"a"});
    EXPECT_EQ(lines(), 2);
    journal.done();
    EXPECT_EQ(lines(), 2);
    journal.intend(PlugStep{"b"});
    EXPECT_EQ(lines(), 4);
    EXPECT_THAT(directory.read("journal"), HasSubstr("\n{\"v\":1,\"done\":1}\n"));
    journal.done();
    journal.withdraw();
    EXPECT_EQ(lines(), 6);
    EXPECT_THAT(left(), ElementsAre("claim a"));
    journal.done();
    journal.clear();
    journal.begin("attach", {}); // with nothing of the last one
    journal.intend(ClaimStep{"c"});
    EXPECT_EQ(lines(), 2);
}

TEST_F(JournalTest, AWithdrawnStepIsNotToBeUndone) {
    Journal journal(directory.path());
    journal.begin("attach", {});
    journal.intend(ClaimStep{"a"});
    journal.done();
    journal.intend(PlugStep{"b"});
    journal.withdraw();
    journal.intend(ClaimStep{"c"});
    EXPECT_THAT(left(), ElementsAre("claim a", "claim c"));
    EXPECT_EQ(journal.steps().size(), 2u);
}

TEST_F(JournalTest, OneThatIsThereIsNotOverwritten) {
    directory.write("journal", begin);
    Journal journal(directory.path());
    const auto failure = failure_of([&] { journal.begin("attach", {}); });
    EXPECT_EQ(failure.code(), Errc::host_io);
    EXPECT_THAT(failure.problem(), HasSubstr((directory.path() / "journal").string()));
    EXPECT_EQ(directory.read("journal"), begin);
}

// Killed at any byte of a write: what is whole counts, and the torn line was not acted on yet.
TEST_F(JournalTest, TornAtEveryByte) {
    const std::string whole = std::string(begin) + claim +
                              R"({"v":1,"intent":{"step":"plug","id":"vfio-x"}})"
                              "\n";
    for (std::size_t size = 0; size < whole.size(); ++size) {
        directory.write("journal", whole.substr(0, size));
        const auto journal = read_journal(directory.path());
        ASSERT_TRUE(journal) << size;
        const std::string_view text = std::string_view(whole).substr(0, size);
        const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
        EXPECT_EQ(journal->steps.size(), lines > 1 ? lines - 1 : 0) << size;
    }
}

TEST_F(JournalTest, ADamagedLineIsNamed) {
    EXPECT_THAT(corrupt(std::string(begin) + "{nonsense}\n" + claim).problem(),
                HasSubstr("/journal:2 is not a line of a journal"));
    EXPECT_THAT(corrupt(std::string(begin) + claim + "\n").problem(), HasSubstr("/journal:3"));
    EXPECT_THAT(corrupt(std::string(begin) + "[]\n").problem(), HasSubstr("/journal:2"));
    corrupt(std::string(begin) + R"({"v":1,"intent":{"step":"claim"}})"
                                 "\n");
    corrupt(std::string(begin) + R"({"v":1,"withdrawn":0})"
                                 "\n");  // nothing to withdraw
    corrupt(std::string("\0\0\0\n", 4)); // a file the file system lost the content of
}

TEST_F(JournalTest, AYoungerVersionIsNotGuessedAt) {
    const auto failure = corrupt(R"({"v":2,"begin":"attach","ids":[]})"
                                 "\n");
    EXPECT_EQ(failure.verbatim(), "version 2");
    const auto step = corrupt(std::string(begin) + R"({"v":1,"intent":{"step":"teleport"}})"
                                                   "\n");
    EXPECT_EQ(step.verbatim(), "unknown step 'teleport'");
    const auto kind = corrupt(std::string(begin) + R"({"v":1,"surprise":1})"
                                                   "\n");
    EXPECT_EQ(kind.verbatim(), "none of begin, intent, done, withdrawn");
}

TEST_F(JournalTest, IsNoOtherUsersToRead) {
    Journal journal(directory.path());
    journal.begin("attach", {});
    const auto mode = std::filesystem::status(directory.path() / "journal").permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

} // namespace
} // namespace kata_vfio::plugin
