// SPDX-License-Identifier: Apache-2.0
#include "qemu_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace kata_vfio::behaviour {
namespace {

[[noreturn]] void die(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd listening(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0)); // inherited by QEMU: not close-on-exec
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw std::runtime_error("TMPDIR is too long for a socket's path: " + path);
    std::memcpy(address.sun_path, path.data(), path.size());
    if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), 1) != 0) // QEMU's own backlog
        die(path);
    return fd;
}

pid_t spawn(const std::vector<std::string>& words, int output) {
    std::vector<char*> argv;
    for (const auto& word : words)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        // Nothing outlives a test that was killed.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(127);
        ::dup2(output, STDOUT_FILENO);
        ::dup2(output, STDERR_FILENO);
        ::execvp(argv[0], argv.data());
        const char text[] = "cannot run the program\n";
        (void)!::write(STDERR_FILENO, text, sizeof text - 1);
        ::_exit(127);
    }
    return pid;
}

std::string temporary_directory() {
    const char* base = std::getenv("TMPDIR");
    auto path = std::string(base && *base ? base : "/tmp") + "/kv-qemu.XXXXXX";
    if (!::mkdtemp(path.data()))
        die(path);
    return path;
}

} // namespace

std::string qemu_program() {
    const char* program = std::getenv("KATA_VFIO_QEMU");
    return program && *program ? program : "qemu-system-x86_64";
}

Finished run_program(const std::vector<std::string>& words) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        die("pipe");
    UniqueFd in(ends[0]), out(ends[1]);
    const pid_t pid = spawn(words, out.get());
    out.reset();
    Finished finished;
    char buffer[4096];
    for (;;) {
        const auto size = ::read(in.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            break;
        finished.output.append(buffer, static_cast<std::size_t>(size));
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return finished;
}

QemuProcess::QemuProcess(const std::string& machine, const std::vector<std::string>& arguments,
                         unsigned monitors)
    : directory_(temporary_directory()), monitors_(monitors) {
    std::vector<std::string> words{
        qemu_program(),    "-accel",   "tcg",  "-M", machine, "-nodefaults",
        "-no-user-config", "-display", "none", "-m", "64"};
    std::vector<UniqueFd> listeners;
    for (unsigned i = 0; i < monitors; ++i) {
        listeners.push_back(listening(monitor(i)));
        const auto name = "qmp" + std::to_string(i);
        words.insert(words.end(),
                     {"-chardev",
                      "socket,id=" + name + ",fd=" + std::to_string(listeners.back().get()) +
                          ",server=on,wait=off",
                      "-mon", "chardev=" + name + ",mode=control"});
    }
    for (auto word : arguments) {
        if (const auto at = word.find("{dir}"); at != std::string::npos)
            word.replace(at, 5, directory_);
        words.push_back(std::move(word));
    }
    pid_ = spawn(words, STDERR_FILENO);
}

QemuProcess::~QemuProcess() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string QemuProcess::monitor(unsigned index) const {
    return directory_ + "/qmp" + std::to_string(index) + ".sock";
}

void QemuProcess::kill() {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
        ;
    pid_ = -1;
}

void QemuProcess::freeze() {
    ::kill(pid_, SIGSTOP);
    while (::waitpid(pid_, nullptr, WUNTRACED) < 0 && errno == EINTR)
        ;
}

void QemuProcess::thaw() {
    ::kill(pid_, SIGCONT);
}

} // namespace kata_vfio::behaviour
