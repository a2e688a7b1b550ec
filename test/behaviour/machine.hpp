// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

namespace kata_vfio::behaviour {

/// What a test talks to: a machine simulated in this process, the QEMU under test, or that through
/// the proxy, which nobody may be able to tell from it.
enum class Peer { fake, qemu, proxy };
std::ostream& operator<<(std::ostream& out, Peer peer);

/// Why the QEMU under test can't be run here; nullopt: it can. When it can and $KATA_VFIO_RAN names
/// a folder, a mark is left there: a run in which everything was skipped has none.
std::optional<std::string> qemu_unavailable();

/// A machine with one monitor, the same to a test whichever it is.
class Machine {
  public:
    /// Not an aggregate on purpose (see FrameLimits in qemu/qmp/frame.hpp).
    struct Options {
        std::string machine = "pc"; ///< or "q35"
        bool started = true;        ///< false: -S
        /// A guest that lets devices go. Without one nothing ever answers a removal.
        bool guest = false;

        Options() {}
    };

    static std::unique_ptr<Machine> make(Peer peer, const Options& options = {});

    Machine() = default;
    virtual ~Machine() = default;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    virtual std::string monitor() const = 0;
    /// SIGKILL, or what looks like it to the client. [any-thread]
    virtual void kill() = 0;
};

/// A test that runs on each peer with the same code.
class OnEachPeer : public testing::TestWithParam<Peer> {
  protected:
    void SetUp() override;
    static std::unique_ptr<Machine> machine(const Machine::Options& options = {}) {
        return Machine::make(GetParam(), options);
    }
};
#define KATA_VFIO_ON_EACH_PEER(fixture)                                                            \
    INSTANTIATE_TEST_SUITE_P(                                                                      \
        On, fixture,                                                                               \
        testing::Values(behaviour::Peer::fake, behaviour::Peer::qemu, behaviour::Peer::proxy),     \
        testing::PrintToStringParamName())

/// A test of what only a process can show.
class OnQemu : public testing::Test {
  protected:
    void SetUp() override;
};

} // namespace kata_vfio::behaviour
