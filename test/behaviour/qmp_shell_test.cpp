// SPDX-License-Identifier: Apache-2.0
// `kata-vfio qmp ID` as a person has it: on a terminal, through the proxy, on a real QEMU.
#include "machine.hpp"
#include "qemu_process.hpp"
#include "test/fixtures/fake_qmp/proxy_host.hpp"
#include "test/fixtures/fake_qmp/raw_client.hpp"
#include "test/fixtures/terminal/terminal.hpp"
#include "test/places/places.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

using namespace kata_vfio;
using namespace kata_vfio::behaviour;
using kata_vfio::test::Terminal;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

namespace {

constexpr auto prompt = "(QEMU) ";
constexpr auto up = "\033[A", control_c = "\003", control_d = "\004";

class QmpShell : public OnQemu {
  protected:
    void SetUp() override {
        OnQemu::SetUp();
        if (IsSkipped())
            return;
        qemu_.emplace("pc", std::vector<std::string>{"-S"}, 2);
        root_ = qemu_->directory() + "/root";
        const auto sandbox = root_ + "/run/kata-vfio/sandboxes/s1";
        fs::create_directories(sandbox);
        host_ = std::make_unique<fake::ProxyHost>(qemu_->monitor(0), sandbox + "/qmp.sock",
                                                  qemu::ProxyMode::read_only);
    }
    void TearDown() override {
        host_.reset();
        if (qemu_)
            fs::remove_all(root_); // the process takes its directory away, but not what we put in
    }

    /// At its first prompt.
    std::unique_ptr<Terminal> shell(const std::vector<std::string>& options = {}) {
        std::vector<std::string> words{std::string(test::binary_dir) + "/bin/kata-vfio", "--root",
                                       root_, "qmp", "s1"};
        words.insert(words.end(), options.begin(), options.end());
        auto terminal = std::make_unique<Terminal>(
            words,
            std::vector<std::string>{"TERM=xterm", "HOME=" + root_,
                                     "XDG_STATE_HOME=" + root_ + "/state", "KATA_CONF_FILE="});
        EXPECT_THAT(terminal->until("Tab completes"), HasSubstr("connected to QEMU "));
        terminal->prompt(prompt);
        return terminal;
    }

    std::optional<QemuProcess> qemu_;
    std::string root_;
    std::unique_ptr<fake::ProxyHost> host_;
};

} // namespace

TEST_F(QmpShell, CompletesFromTheSchemaAndPrintsPretty) {
    auto terminal = shell();
    terminal->type("query-statu\t");
    terminal->until("query-status ");
    terminal->type("\r");
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("{\n  \"status\": \"prelaunch\","));
    // An argument, and what several names have in common with a list of them.
    terminal->type("qom-get pa\t");
    terminal->until("path=");
    terminal->type("/machine pro\t");
    terminal->until("property=");
    terminal->type("type\r");
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("\"pc-i440fx-"));
    terminal->type("query-cpu\t\t");
    EXPECT_THAT(terminal->until("query-cpus-fast"), HasSubstr("query-cpu-definitions"));
    terminal->type(control_d);
}

TEST_F(QmpShell, RawIsOneLine) {
    auto terminal = shell({"--raw"});
    terminal->type("query-status\r");
    terminal->until("query-status\n");
    const auto answer = terminal->until("\n");
    EXPECT_TRUE(answer.starts_with("{\"status\":\"prelaunch\",")) << answer;
    EXPECT_TRUE(answer.ends_with("}\n")) << answer;
}

TEST_F(QmpShell, FindsEarlierLinesAndKeepsThem) {
    const auto file = root_ + "/state/kata-vfio/qmp_history";
    {
        auto terminal = shell();
        terminal->type("query-version\r");
        terminal->prompt(prompt);
        terminal->type(std::string(up) + "\r");
        EXPECT_THAT(terminal->prompt(prompt), HasSubstr("\"package\""));
        terminal->type(control_d);
        terminal->rest();
        EXPECT_EQ(terminal->status(), 0);
    }
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    auto terminal = shell(); // another one, another day
    terminal->type(std::string(up) + "\r");
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("\"package\""));
    terminal->type("\022ersio\r"); // Ctrl-R; the first Enter may end the search only
    terminal->type("\r");
    EXPECT_THAT(terminal->until("\"package\""), HasSubstr("query-version"));
}

TEST_F(QmpShell, RefusalsAndEventsAreShownAndCostNothing) {
    auto terminal = shell();
    terminal->type("stop\r");
    EXPECT_THAT(
        terminal->prompt(prompt),
        HasSubstr("\nkata-vfio: QEMU refused stop (CommandNotFound)\n  QEMU said: Command stop "
                  "has been disabled: the proxy is read-only"));
    terminal->type("no=command\r");
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("kata-vfio: "));
    terminal->type("query-ver"); // half a line, while an event comes
    terminal->until("query-ver");
    fake::RawClient other(qemu_->monitor(1));
    other.negotiate();
    other.send("{\"execute\":\"cont\"}");
    EXPECT_THAT(terminal->until("query-ver"), HasSubstr("Z RESUME\n")) << "and the line again";
    terminal->type("sion\r");
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("\"package\""));
}

TEST_F(QmpShell, ControlCDropsTheLineAndStopsWaiting) {
    auto terminal = shell();
    terminal->type("query-nonsense");
    terminal->until("query-nonsense");
    terminal->type(control_c);
    terminal->until("^C\n");
    terminal->prompt(prompt);
    qemu_->freeze();
    terminal->type("query-status\r");
    terminal->until("query-status\n");
    terminal->type(control_c);
    EXPECT_THAT(terminal->prompt(prompt), HasSubstr("query-status was cancelled"));
    qemu_->thaw();
    terminal->type("query-version\r");
    const auto answer = terminal->prompt(prompt);
    EXPECT_THAT(answer, HasSubstr("\"package\""));
    EXPECT_THAT(answer, Not(HasSubstr("prelaunch"))) << "the answer nobody waits for";
}

TEST_F(QmpShell, ControlDEndsAndSoDoesQemu) {
    auto terminal = shell();
    terminal->type(control_d);
    EXPECT_EQ(terminal->rest(), "^D\n");
    EXPECT_EQ(terminal->status(), 0);

    auto last = shell();
    qemu_->kill();
    EXPECT_THAT(last->rest(), HasSubstr("QEMU closed the connection"));
    EXPECT_EQ(last->status(), 5);
}
