// SPDX-License-Identifier: Apache-2.0
#include "test/service/daemon_process.hpp"

#include "test/places/places.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

extern char** environ;

namespace kata_vfio::service_test {
namespace fs = std::filesystem;

DaemonProcess::DaemonProcess(fs::path directory)
    : directory_(std::move(directory)), log_(directory_ / "log") {
    notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = (directory_ / "notify").string();
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (!notify_ ||
        ::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("can't bind " + path);
}

DaemonProcess::~DaemonProcess() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        wait();
    }
}

void DaemonProcess::spawn(const std::vector<std::string>& args, int listening) {
    // Made before the fork: the child of a process with threads may only make system calls.
    std::vector<std::string> words{(fs::path(test::binary_dir) / "bin/kata-vfiod").string()};
    words.insert(words.end(), args.begin(), args.end());
    std::vector<char*> argv;
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> settings;
    for (char** each = environ; *each; ++each)
        if (!std::string_view(*each).starts_with("KATA_CONF_FILE="))
            settings.emplace_back(*each);
    settings.push_back("NOTIFY_SOCKET=" + (directory_ / "notify").string());
    settings.push_back("KATA_VFIO_PLUGIN=" + std::string(test::library));
    // sd_listen_fds() wants to be the one that is meant: written in place, filled in by the child.
    std::string listen_pid = "LISTEN_PID=          ";
    if (listening >= 0) {
        settings.emplace_back("LISTEN_FDS=1");
        settings.push_back(listen_pid);
    }
    std::vector<char*> envp;
    for (auto& each : settings)
        envp.push_back(each.data());
    char* const pid_digits = listening >= 0 ? envp.back() + std::strlen("LISTEN_PID=") : nullptr;
    envp.push_back(nullptr);
    const UniqueFd log(::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(log.get(), STDERR_FILENO);
        if (pid_digits) {
            if (listening == 3)
                ::fcntl(3, F_SETFD, 0);
            else
                ::dup2(listening, 3);
            long rest = ::getpid();
            for (int i = 9; rest > 0; --i, rest /= 10) // behind spaces: zeros would be octal
                pid_digits[i] = static_cast<char>('0' + rest % 10);
        }
        ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    if (pid_ < 0)
        throw std::runtime_error("can't fork");
}

void DaemonProcess::start(const std::vector<std::string>& args) {
    spawn(args, -1);
    wait_notified("READY=1");
}

void DaemonProcess::start_activated(const std::vector<std::string>& args, int listening) {
    spawn(args, listening);
    wait_notified("READY=1");
}

void DaemonProcess::signal(int number) const {
    ::kill(pid_, number);
}

std::string DaemonProcess::wait_notified(const std::string& part) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    for (;;) {
        std::array<pollfd, 2> fds{{{notify_.get(), POLLIN, 0}, {process.get(), POLLIN, 0}}};
        ::poll(fds.data(), fds.size(), -1);
        if (fds[0].revents) {
            std::array<char, 4096> buffer;
            const auto size = ::recv(notify_.get(), buffer.data(), buffer.size(), 0);
            std::string text(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
            if (text.find(part) != std::string::npos)
                return text;
        } else if (fds[1].revents) {
            const int status = wait();
            throw std::runtime_error("kata-vfiod ended with " + std::to_string(status) + ":\n" +
                                     log());
        }
    }
}

int DaemonProcess::wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void DaemonProcess::wait_log(const std::string& part) const {
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC));
    ::inotify_add_watch(watch.get(), log_.c_str(), IN_MODIFY);
    std::array<char, 4096> events;
    while (log().find(part) == std::string::npos)
        if (::read(watch.get(), events.data(), events.size()) < 0)
            throw std::runtime_error("can't watch the log");
}

std::string DaemonProcess::log() const {
    std::ostringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
}

} // namespace kata_vfio::service_test
