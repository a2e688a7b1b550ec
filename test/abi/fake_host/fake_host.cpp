// SPDX-License-Identifier: Apache-2.0
// Runs an embedding host, a program of its own, against a fake machine to run on.
//
//   abi_fake_host [--interrupt | --known] STATUS STDOUT COMMAND [ARGUMENT...]
//
// {root}, {config} and {socket} in the arguments are the host root, the configuration file and the
// QMP socket. Succeeds when the command exits with STATUS, has written just the line STDOUT ("-" is
// nothing), the host is as it was before, and QEMU has no device of it. --interrupt: asked for its
// bus, QEMU does not answer until the command, which gets a SIGINT, has said "cancelled". --known:
// a sandbox sb1 of somebody else's is on record, and {socket} is none; the record has to stay.
#include "runtime-plugin/hosts/cpp/plugin.hpp"
#include "test/abi/snapshot.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_root/fake_kernel.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace kata_vfio;

struct Ended {
    int status = -1;
    std::string output;
};

Ended run(const std::vector<std::string>& command, fake::FakeMachine* interrupt) {
    std::vector<char*> arguments;
    for (const auto& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    int output[2], error[2];
    if (::pipe(output) != 0 || ::pipe(error) != 0)
        throw std::runtime_error("pipe");
    const auto child = ::fork();
    if (child < 0)
        throw std::runtime_error("fork");
    if (child == 0) {
        ::dup2(output[1], STDOUT_FILENO);
        ::dup2(error[1], STDERR_FILENO);
        for (const int fd : {output[0], output[1], error[0], error[1]})
            ::close(fd);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    ::close(output[1]);
    ::close(error[1]);
    if (interrupt) {
        interrupt->wait_blocked();
        ::kill(child, SIGINT);
    }
    Ended ended;
    std::array<char, 4096> buffer;
    std::string said; // to its end first: a line on stdout fits into the pipe
    for (ssize_t n = 0; (n = ::read(error[0], buffer.data(), buffer.size())) > 0;) {
        said.append(buffer.data(), static_cast<std::size_t>(n));
        if (interrupt && said.find("cancelled") != said.npos)
            std::exchange(interrupt, nullptr)->unblock();
    }
    std::fputs(said.c_str(), stderr);
    ::close(error[0]);
    for (ssize_t n = 0; (n = ::read(output[0], buffer.data(), buffer.size())) > 0;)
        ended.output.append(buffer.data(), static_cast<std::size_t>(n));
    ::close(output[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended;
}

void replace(std::string& text, const std::string& what, const std::string& by) {
    if (const auto at = text.find(what); at != text.npos)
        text.replace(at, what.size(), by);
}

std::string changes(abi_test::Snapshot before, const fake::FakeRoot& root) {
    auto after = abi_test::Snapshot::of(root.path());
    // The state directory itself stays, and what is in it is what is asked about.
    for (auto* each : {&before, &after})
        std::erase_if(each->entries, [](const auto& entry) {
            return entry.first == "run/kata-vfio" || entry.first == "run/kata-vfio/claims" ||
                   entry.first == "run/kata-vfio/sandboxes" ||
                   entry.first == "run/kata-vfio/lock" || entry.first.ends_with("/sb1/lock");
        });
    return abi_test::difference(before, after);
}

bool check(bool holds, const std::string& text) {
    if (!holds)
        std::fprintf(stderr, "%s\n", text.c_str());
    return holds;
}

} // namespace

int main(int argc, char** argv) {
    const bool interrupt = argc > 1 && argv[1] == std::string("--interrupt");
    const bool known = argc > 1 && argv[1] == std::string("--known");
    argc -= interrupt || known;
    argv += interrupt || known;
    if (argc < 4) {
        std::fprintf(stderr, "usage: [--interrupt] STATUS STDOUT COMMAND [ARGUMENT...]\n");
        return 2;
    }
    fake::FakeRoot root;
    root.populate_gvt_host();
    root.write("/configuration.toml", "[hypervisor.qemu]\nmachine_type = \"pc\"\n"
                                      "hotplug_vfio_on_root_bus = true\n");
    fake::FakeKernel kernel(root);
    fake::FakeMachine machine;
    machine.fill_bus(3);
    std::vector<std::string> command(argv + 3, argv + argc);
    for (auto& argument : command) {
        replace(argument, "{root}", root.path().string());
        replace(argument, "{config}", root.at("/configuration.toml").string());
        replace(argument, "{socket}", known ? root.at("/none").string() : machine.path());
    }
    bool good = true;
    if (known) // COMMAND is HOST PLUGIN ...: by the plugin that it will load
        katavfio::Plugin(katavfio::Library(command.at(1)), root.at("/configuration.toml").string(),
                         root.path().string())
            .open("sb1", machine.path());
    const auto before = abi_test::Snapshot::of(root.path());
    if (interrupt)
        machine.block_on("query-pci");
    const auto ended = run(command, interrupt ? &machine : nullptr);
    (void)kernel.log(); // what it has in hand is done
    const std::string wanted = argv[2] == std::string("-") ? "" : std::string(argv[2]) + "\n";
    const auto different = changes(before, root);
    good &= check(ended.status == std::atoi(argv[1]),
                  "exit status " + std::to_string(ended.status) + ", expected " + argv[1]);
    good &=
        check(ended.output == wanted, "stdout '" + ended.output + "', expected '" + wanted + "'");
    good &= check(different.empty(), "the host is not as it was:\n" + different);
    good &= check(machine.devices().size() == 3, "QEMU still has a device of it");
    return good ? 0 : 1;
}
