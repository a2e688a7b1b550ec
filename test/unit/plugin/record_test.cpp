// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/record.hpp"

#include "runtime-plugin/plugin/quarantine.hpp"
#include "test/unit/plugin/save_state.hpp"
#include "test/unit/plugin/temp_dir.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::plugin {
namespace {

using ::testing::HasSubstr;

class RecordTest : public ::testing::Test {
  protected:
    RecordTest() { state.ensure(state.sandbox("sb1")); }
    SandboxRecord read() const { return read_record(state.sandbox("sb1"), "sb1"); }
    void write(const std::string& name, const std::string& text) const {
        directory.write("s/sandboxes/sb1/" + name, text);
    }
    void save(const std::string& id) const {
        SandboxState remembered;
        remembered.id = id;
        EXPECT_FALSE(save_state(state.sandbox("sb1"), remembered));
    }

    TempDir directory;
    StateDir state{directory.path() / "s"};
};

TEST_F(RecordTest, Nothing) {
    const auto record = read();
    EXPECT_FALSE(record.state || record.journal || record.bad_state || record.bad_journal);
}

TEST_F(RecordTest, Sound) {
    save("sb1");
    write("journal", "");
    const auto record = read();
    ASSERT_TRUE(record.state);
    EXPECT_EQ(record.state->id, "sb1");
    ASSERT_TRUE(record.journal); // its writer was killed before the first line
    EXPECT_TRUE(record.journal->steps.empty());
    EXPECT_FALSE(record.bad_state || record.bad_journal);
}

TEST_F(RecordTest, OneThatIsDamagedLeavesTheOther) {
    save("sb1");
    write("journal", "{\"v\":9}\n");
    auto record = read();
    EXPECT_TRUE(record.state);
    EXPECT_FALSE(record.journal);
    ASSERT_TRUE(record.bad_journal);
    EXPECT_EQ(record.bad_journal->file, state.sandbox("sb1") / "journal");
    EXPECT_THAT(record.bad_journal->why, HasSubstr("journal:1 is not a line of a journal"));
    EXPECT_THAT(record.bad_journal->why, HasSubstr("version 9"));

    write("journal", "");
    write("state.json", "{");
    record = read();
    EXPECT_TRUE(record.journal);
    ASSERT_TRUE(record.bad_state);
    EXPECT_THAT(record.bad_state->why, HasSubstr("is not a sandbox's state"));
}

TEST_F(RecordTest, AnothersState) {
    save("sb2");
    const auto record = read();
    EXPECT_FALSE(record.state);
    ASSERT_TRUE(record.bad_state);
    EXPECT_THAT(record.bad_state->why, HasSubstr("is of sandbox sb2"));
}

TEST_F(RecordTest, NoRegularFile) {
    std::filesystem::create_symlink("/etc/passwd", state.sandbox("sb1") / "state.json");
    std::filesystem::create_directory(state.sandbox("sb1") / "journal");
    const auto record = read();
    ASSERT_TRUE(record.bad_state && record.bad_journal);
    EXPECT_THAT(record.bad_state->why, HasSubstr("state.json is no regular file"));
    EXPECT_THAT(record.bad_journal->why, HasSubstr("journal is no regular file"));
}

TEST_F(RecordTest, AnotherUsersFile) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give a file away";
    save("sb1");
    ASSERT_EQ(::chown((state.sandbox("sb1") / "state.json").c_str(), 4711, 4711), 0);
    EXPECT_THAT(read().bad_state.value().why, HasSubstr("belongs to user 4711"));
}

TEST_F(RecordTest, Quarantine) {
    write("state.json", "{");
    const auto moved = quarantine(state, state.sandbox("sb1") / "state.json", "it is damaged");
    EXPECT_EQ(moved.to, state.quarantine() / "sb1.state.json");
    EXPECT_EQ(directory.read("s/quarantine/sb1.state.json"), "{");
    EXPECT_EQ(directory.read("s/quarantine/sb1.state.json.why"), "it is damaged\n");
    write("state.json", "[");
    EXPECT_EQ(quarantine(state, state.sandbox("sb1") / "state.json", "again").to,
              state.quarantine() / "sb1.state.json.1");
    EXPECT_EQ(quarantine(state, state.sandbox("sb1"), "all").to, state.quarantine() / "sb1");
    EXPECT_FALSE(std::filesystem::exists(state.sandbox("sb1")));
    EXPECT_EQ(failure_of([&] { quarantine(state, state.sandbox("sb1"), "gone"); }).code(),
              Errc::host_io);
}

TEST_F(RecordTest, LockedByAnother) {
    EXPECT_FALSE(state.sandbox_locked("sb1"));
    EXPECT_FALSE(std::filesystem::exists(state.sandbox("sb1") / "lock"));
    {
        const auto held = state.lock_sandbox("sb1");
        EXPECT_TRUE(state.sandbox_locked("sb1"));
    }
    EXPECT_FALSE(state.sandbox_locked("sb1"));
    EXPECT_FALSE(state.sandbox_locked("sb2"));
}

} // namespace
} // namespace kata_vfio::plugin
