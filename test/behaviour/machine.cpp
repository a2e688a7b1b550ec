// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include "lab_guest.hpp"
#include "qemu_process.hpp"
#include "test/fixtures/fake_qmp/fake_machine.hpp"
#include "test/fixtures/fake_qmp/proxy_host.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <stdexcept>

namespace kata_vfio::behaviour {
namespace {

namespace fs = std::filesystem;

class SimulatedMachine : public Machine {
  public:
    explicit SimulatedMachine(const Options& options) : machine_(translate(options)) {
        machine_.swallow_device_del(!options.guest);
    }
    std::string monitor() const override { return machine_.path(); }
    void kill() override { machine_.kill(); }

  private:
    static fake::FakeMachine::Options translate(const Options& options) {
        fake::FakeMachine::Options out;
        out.machine = options.machine == "pc" ? "pc-i440fx-7.2-machine"
                                              : "pc-" + options.machine + "-7.2-machine";
        out.run_state = options.started ? "running" : "prelaunch";
        return out;
    }
    fake::FakeMachine machine_;
};

class BareQemu : public Machine {
  public:
    explicit BareQemu(const Options& options)
        : qemu_(options.machine,
                options.started ? std::vector<std::string>{} : std::vector<std::string>{"-S"}) {}
    std::string monitor() const override { return qemu_.monitor(); }
    void kill() override { qemu_.kill(); }

  private:
    QemuProcess qemu_;
};

class BootedQemu : public Machine {
  public:
    BootedQemu() { guest_.wait_booted(); }
    std::string monitor() const override { return guest_.monitor(); }
    void kill() override { throw std::logic_error("no test kills a booted guest"); }

  private:
    LabGuest guest_;
};

/// In unsafe mode, where everything passes.
class Proxied : public Machine {
  public:
    explicit Proxied(std::unique_ptr<Machine> machine)
        : machine_(std::move(machine)), directory_(new_directory()),
          host_(machine_->monitor(), monitor(), qemu::ProxyMode::unsafe) {}
    ~Proxied() override {
        std::error_code none; // a folder left in /tmp is no failure of a test
        fs::remove_all(directory_, none);
    }
    std::string monitor() const override { return directory_ + "/proxy.sock"; }
    void kill() override { machine_->kill(); }

  private:
    static std::string new_directory() {
        auto path = (fs::temp_directory_path() / "kv-proxied.XXXXXX").string();
        if (!::mkdtemp(path.data()))
            throw std::runtime_error("can't make " + path);
        return path;
    }

    std::unique_ptr<Machine> machine_;
    std::string directory_;
    fake::ProxyHost host_;
};

std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

} // namespace

std::ostream& operator<<(std::ostream& out, Peer peer) {
    return out << (peer == Peer::fake ? "fake" : peer == Peer::qemu ? "qemu" : "proxy");
}

std::optional<std::string> qemu_unavailable() {
    const fs::path program = qemu_program();
    if (program.has_parent_path() && ::access(program.c_str(), X_OK) != 0) {
        const auto why = text_of(program.parent_path() / "unavailable"); // test/qemu10/unpack's
        return program.string() + " is not there: " + (why.empty() ? "was it unpacked?" : why);
    }
    // One version is asked once.
    static const Finished version = run_program({program, "--version"});
    if (version.status != 0)
        return program.string() + " does not run: " + version.output;
    // A row that says 10 and runs on 7 would prove nothing.
    const char* major = std::getenv("KATA_VFIO_QEMU_MAJOR");
    if (major && *major &&
        !version.output.starts_with("QEMU emulator version " + std::string(major) + '.'))
        return program.string() + " is no QEMU " + major + ": " +
               version.output.substr(0, version.output.find('\n'));
    const char* folder = std::getenv("KATA_VFIO_RAN");
    if (folder && *folder)
        std::ofstream(fs::path(folder) / std::to_string(::getpid())) << version.output;
    return std::nullopt;
}

std::unique_ptr<Machine> Machine::make(Peer peer, const Options& options) {
    if (peer == Peer::fake)
        return std::make_unique<SimulatedMachine>(options);
    if (peer == Peer::proxy)
        return std::make_unique<Proxied>(make(Peer::qemu, options));
    if (!options.guest)
        return std::make_unique<BareQemu>(options);
    if (options.machine != "pc" || !options.started)
        throw std::logic_error("the lab's guest runs on a started pc");
    return std::make_unique<BootedQemu>();
}

void OnEachPeer::SetUp() {
    if (GetParam() == Peer::fake)
        return;
    if (const auto why = qemu_unavailable())
        GTEST_SKIP() << *why;
}

void OnQemu::SetUp() {
    if (const auto why = qemu_unavailable())
        GTEST_SKIP() << *why;
}

} // namespace kata_vfio::behaviour
