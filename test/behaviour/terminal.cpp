// SPDX-License-Identifier: Apache-2.0
#include "terminal.hpp"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace kata_vfio::behaviour {
namespace {

/// Length of the escape sequence that `text` begins with; 0: it is not complete.
std::size_t escape_length(std::string_view text) {
    if (text.size() < 2)
        return 0;
    if (text[1] != '[')
        return 2;
    const auto end =
        text.find_first_of("@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz"
                           "{|}~",
                           2);
    return end == text.npos ? 0 : end + 1;
}

/// Moves what a person would read from `raw` to `shown`.
void read_off(std::string& raw, std::string& shown) {
    std::size_t at = 0;
    while (at < raw.size()) {
        if (raw[at] == '\033') {
            const auto size = escape_length(std::string_view(raw).substr(at));
            if (size == 0)
                break;
            at += size;
            continue;
        }
        if (raw[at] != '\r' && raw[at] != '\a')
            shown += raw[at];
        ++at;
    }
    raw.erase(0, at);
}

} // namespace

Terminal::Terminal(const std::vector<std::string>& words,
                   const std::vector<std::string>& environment) {
    std::vector<char*> argv, envp;
    for (const auto& word : words)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    for (char** each = environ; *each; ++each)
        envp.push_back(*each);
    for (const auto& word : environment) // the last of a name counts for none: put it in front
        envp.insert(envp.begin(), const_cast<char*>(word.c_str()));
    envp.push_back(nullptr);
    winsize size{};
    size.ws_row = 50;
    size.ws_col = 200;
    int master = -1;
    pid_ = ::forkpty(&master, nullptr, nullptr, &size);
    if (pid_ < 0)
        throw std::system_error(errno, std::generic_category(), "forkpty");
    if (pid_ == 0) {
        ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    master_ = UniqueFd(master);
}

Terminal::~Terminal() {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Terminal::type(std::string_view keys) {
    while (!keys.empty()) {
        const auto size = ::write(master_.get(), keys.data(), keys.size());
        if (size < 0)
            throw std::system_error(errno, std::generic_category(), "typing");
        keys.remove_prefix(static_cast<std::size_t>(size));
    }
}

bool Terminal::more() {
    pollfd state{master_.get(), POLLIN, 0};
    if (::poll(&state, 1, 60000) != 1)
        throw std::runtime_error("nothing was shown for a minute, after: " + shown_);
    std::array<char, 4096> buffer;
    const auto size = ::read(master_.get(), buffer.data(), buffer.size());
    if (size <= 0) // EIO: nobody has the other end any more
        return false;
    raw_.append(buffer.data(), static_cast<std::size_t>(size));
    read_off(raw_, shown_);
    return true;
}

std::string Terminal::until(std::string_view text) {
    for (;;) {
        if (const auto at = shown_.find(text); at != shown_.npos) {
            auto seen = shown_.substr(0, at + text.size());
            shown_.erase(0, at + text.size());
            return seen;
        }
        if (!more())
            throw std::runtime_error("it ended without '" + std::string(text) + "': " + shown_);
    }
}

std::string Terminal::prompt(std::string_view text) {
    auto seen = until(text);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (termios mode{};;) { // nothing tells of it
        if (::tcgetattr(master_.get(), &mode) == 0 && (mode.c_lflag & ICANON) == 0)
            return seen;
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("it shows a prompt and takes whole lines only");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

std::string Terminal::rest() {
    while (more())
        ;
    return std::exchange(shown_, {});
}

int Terminal::status() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace kata_vfio::behaviour
