// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/xml/libvirt_helper.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "vfio/host_root.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

constexpr auto helper_name = "kata-vfio-libvirt";
constexpr auto remedy =
    "install the package kata-vfio-libvirt, or build where libvirt-dev is; only "
    "xml check needs it";

/// For each direction one: a socket can be written to without SIGPIPE and without waiting.
std::pair<UniqueFd, UniqueFd> make_channel() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        throw host_failure(errno, "no socket to " + std::string(helper_name)).sys(errno);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// The last line that is not empty, for a message.
std::string last_line(const fs::path& file) {
    std::string last;
    const auto text = read_file(file).value_or("");
    for (const auto line : split(text, '\n'))
        if (!trim(line).empty())
            last = std::string(trim(line));
    return last;
}

} // namespace

std::string choose_helper(const char* env, const fs::path& exe_dir, const std::string& libdir,
                          const std::function<bool(const fs::path&)>& exists) {
    if (env && *env)
        return env;
    const auto prefix = exe_dir.parent_path();
    for (const auto& directory : {exe_dir, prefix / "lib/kata-vfio", prefix / libdir / "kata-vfio"})
        if (exists(directory / helper_name))
            return (directory / helper_name).string();
    return {};
}

LibvirtHelper::LibvirtHelper(std::chrono::milliseconds limit)
    : limit_(limit), cache_(choose_cache(::secure_getenv("XDG_CACHE_HOME"), ::secure_getenv("HOME"),
                                         ::geteuid() == 0, vfio::HostRoot().root())) {
    std::error_code ec;
    const auto exe = fs::read_symlink(vfio::HostRoot().proc("self/exe"), ec);
    program_ = choose_helper(::secure_getenv("KATA_VFIO_LIBVIRT"), exe.parent_path(),
                             KATA_VFIO_LIBDIR, [](const fs::path& path) {
                                 std::error_code ignored;
                                 return fs::exists(path, ignored);
                             });
    if (program_.empty())
        throw Failure(Errc::host_io, std::string("xml check asks libvirt, and ") + helper_name +
                                         ", which does that, is not installed")
            .remedy(remedy);
    // Short and without symbolic links: libvirt makes sockets in it, and their paths are limited.
    auto pattern = (fs::temp_directory_path() / "kata-vfio-xml.XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
        throw host_failure(errno, "no temporary directory " + pattern).sys(errno);
    directory_ = pattern;
    log_ = pattern + ".log";
    cache_.lend(directory_);
    try {
        start();
    } catch (...) {
        end(SIGTERM);
        throw;
    }
}

LibvirtHelper::~LibvirtHelper() {
    end(SIGTERM);
}

void LibvirtHelper::start() {
    auto [child_in, in] = make_channel();
    auto [out, child_out] = make_channel();
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, child_in.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, child_out.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log_.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    // A group of its own: Ctrl-C of the terminal is for us, and we tell it.
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    auto directory = directory_.string();
    char* const arguments[] = {program_.data(), directory.data(), nullptr};
    const int failed =
        ::posix_spawn(&pid_, program_.c_str(), &files, &attributes, arguments, environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (failed != 0) {
        pid_ = -1;
        throw Failure(Errc::host_io, "can't start " + program_).sys(failed).remedy(remedy);
    }
    in_ = std::move(in);
    out_ = std::move(out);
}

json::object LibvirtHelper::ask(const json::object& request) {
    until_ = std::chrono::steady_clock::now() + limit_;
    const auto text = json::serialize(request) + "\n";
    for (std::size_t done = 0; done < text.size();) {
        wait_for(in_.get(), POLLOUT);
        const auto wrote =
            ::send(in_.get(), text.data() + done, text.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (wrote < 0 && errno != EINTR && errno != EAGAIN)
            break; // what became of it read_line() finds out
        done += wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
    }
    const auto line = read_line();
    boost::system::error_code ec;
    const auto answer = json::parse(line, ec);
    if (ec || !answer.is_object())
        throw Failure(Errc::host_io, program_ + " answers something else than this command expects")
            .said(quoted(line))
            .remedy("install both of one version");
    if (const auto* error = answer.get_object().if_contains("error")) {
        const auto& told = error->as_object();
        throw Failure(static_cast<Errc>(told.at("status").to_number<int>()),
                      string_at(told, "problem"))
            .blocked_by(string_at(told, "said"))
            .remedy(string_at(told, "remedy"));
    }
    return answer.get_object();
}

void LibvirtHelper::wait_for(int fd, short events) {
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            until_ - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            throw Failure(Errc::host_timeout, "libvirt has not answered within " +
                                                  std::to_string(limit_.count()) + " ms")
                .remedy("it was probably asking QEMU what it can do: try again");
        pollfd wait[] = {{fd, events, 0}, {signals_.fd(), POLLIN, 0}};
        ::poll(wait, 2, static_cast<int>(std::max<std::int64_t>(1, left.count())));
        if (signals_.take())
            throw Failure(Errc::cancelled, "given up while libvirt was asked; nothing was changed");
        if (wait[0].revents != 0)
            return;
    }
}

std::string LibvirtHelper::read_line() {
    for (;;) {
        if (const auto end = buffer_.find('\n'); end != std::string::npos) {
            auto line = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            return line;
        }
        wait_for(out_.get(), POLLIN);
        char bytes[16384];
        const auto got = ::read(out_.get(), bytes, sizeof bytes);
        if (got == 0)
            fail_ended();
        if (got < 0 && errno != EINTR)
            throw host_failure(errno, "can't read what " + program_ + " answers").sys(errno);
        buffer_.append(bytes, got > 0 ? static_cast<std::size_t>(got) : 0);
        if (buffer_.size() > (32u << 20))
            throw Failure(Errc::host_io, program_ + " answers more than 32 MiB");
    }
}

void LibvirtHelper::fail_ended() {
    const auto words = last_line(log_);
    const int status = end(0);
    // What the dynamic linker exits with when a library is not there.
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        throw Failure(Errc::host_io, "xml check asks libvirt, which is not installed")
            .blocked_by(words)
            .remedy(remedy);
    throw Failure(Errc::host_io,
                  program_ + " has ended " +
                      (WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                                           : "with status " + std::to_string(WEXITSTATUS(status))))
        .blocked_by(words);
}

/// Ends it with `signal`, or waits for an end that has come (0), and clears up after it; its wait
/// status, 0 when there was none.
int LibvirtHelper::end(int signal) noexcept {
    int status = 0;
    if (pid_ > 0) {
        if (signal != 0)
            ::kill(pid_, signal);
        // It ends at SIGTERM in any state: the signal has a thread of its own.
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
    }
    std::error_code ignored;
    if (!directory_.empty()) {
        cache_.keep(directory_);
        fs::remove_all(directory_, ignored);
        fs::remove(log_, ignored);
    }
    return status;
}

} // namespace kata_vfio::cli
