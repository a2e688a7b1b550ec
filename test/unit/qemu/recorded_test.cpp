// SPDX-License-Identifier: Apache-2.0
// What real QEMUs of both generations said (test/fixtures/recorded, made by test/record-qmp),
// through our parsers.
#include "qemu/capabilities.hpp"
#include "qemu/inventory.hpp"
#include "qemu/machine.hpp"
#include "qemu/pci_slots.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu/qmp/frame.hpp"
#include "qemu/qmp/message.hpp"
#include "qemu/unplug_fsm.hpp"
#include "test/places/places.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

struct Line {
    bool from_qemu;
    std::string text;
};

std::vector<Line> lines_of(const fs::path& path) {
    std::ifstream file(path);
    std::vector<Line> lines;
    for (std::string line; std::getline(file, line);) {
        EXPECT_TRUE(line.starts_with("< ") || line.starts_with("> ")) << path;
        lines.push_back({line[0] == '<', line.substr(2)});
    }
    EXPECT_FALSE(lines.empty()) << path << " is empty or not there: run test/record-qmp";
    return lines;
}

/// Generation: the folder's version.
class Recorded : public testing::TestWithParam<const char*> {
  protected:
    static fs::path folder() {
        return fs::path(test::fixtures_dir) / "recorded" / ("qemu-" + std::string(GetParam()));
    }
    static bool is_old() { return std::string(GetParam()) == "7.2"; }

    static std::vector<Message> messages(const std::string& session) {
        std::vector<Message> out;
        for (const auto& line : lines_of(folder() / (session + ".qmp")))
            if (line.from_qemu)
                out.push_back(parse_message(line.text));
        return out;
    }
    template <class T>
    static std::vector<T> all(const std::string& session) {
        std::vector<T> out;
        for (auto& message : messages(session))
            if (auto* wanted = std::get_if<T>(&message))
                out.push_back(std::move(*wanted));
        return out;
    }
    /// The n-th successful reply of a session.
    static json::value reply(const std::string& session, std::size_t n = 0) {
        const auto replies = all<Reply>(session);
        EXPECT_LT(n, replies.size()) << session;
        return n < replies.size() ? replies[n].value : json::value();
    }
    static RootBus bus(const std::string& session, std::size_t n = 0) {
        return RootBus::parse(reply(session, n));
    }
    /// Values of "name" in a list of objects.
    static std::set<std::string> names(const json::value& list) {
        std::set<std::string> out;
        for (const auto& item : list.as_array())
            if (const auto* name = item.as_object().if_contains("name"))
                out.emplace(name->as_string());
        return out;
    }
};
INSTANTIATE_TEST_SUITE_P(Qemu, Recorded, testing::Values("7.2", "10.0"), [](const auto& param) {
    return std::string(param.param) == "7.2" ? "7_2" : "10_0";
});

} // namespace

TEST_P(Recorded, EveryMessageIsUnderstoodAndAnswersWhatWasAsked) {
    std::size_t sessions = 0;
    for (const auto& entry : fs::directory_iterator(folder())) {
        SCOPED_TRACE(entry.path().filename().string());
        ++sessions;
        std::optional<json::value> asked;
        std::size_t answered = 0, commands = 0;
        for (const auto& line : lines_of(entry.path())) {
            if (!line.from_qemu) {
                asked = json::parse(line.text).at("id");
                ++commands;
                continue;
            }
            const auto message = parse_message(line.text);
            if (const auto* bad = std::get_if<BadMessage>(&message))
                ADD_FAILURE() << bad->why << ": " << bad->text;
            if (const auto* reply = std::get_if<Reply>(&message)) {
                EXPECT_EQ(reply->id, asked);
                ++answered;
            }
            if (const auto* error = std::get_if<ErrorReply>(&message)) {
                EXPECT_EQ(error->id, asked);
                EXPECT_FALSE(error->error_class.empty());
                EXPECT_FALSE(error->desc.empty());
                ++answered;
            }
        }
        EXPECT_EQ(answered, commands);
    }
    EXPECT_EQ(sessions, 34u);
}

TEST_P(Recorded, AllOfItInOneStreamFallsIntoTheSameMessages) {
    std::string stream;
    std::vector<std::string> sent;
    for (const auto& entry : fs::directory_iterator(folder()))
        for (const auto& line : lines_of(entry.path()))
            if (line.from_qemu) {
                stream += line.text + "\r\n";
                sent.push_back(line.text);
            }
    EXPECT_GT(stream.size(), 200'000u); // the schema alone
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{8192}, stream.size()}) {
        FrameSplitter splitter;
        std::vector<std::string> got;
        for (std::size_t at = 0; at < stream.size(); at += chunk) {
            splitter.feed(std::string_view(stream).substr(at, chunk));
            while (const auto frame = splitter.next()) {
                EXPECT_EQ(frame->fault, FrameFault::none);
                got.emplace_back(frame->text);
            }
        }
        EXPECT_EQ(got, sent) << chunk;
    }
}

TEST_P(Recorded, Greeting) {
    const auto greetings = all<Greeting>("greeting");
    ASSERT_EQ(greetings.size(), 1u);
    EXPECT_TRUE(greetings[0].version().starts_with(std::string(GetParam()) + '.'))
        << greetings[0].version();
    EXPECT_EQ(greetings[0].capabilities, std::vector<std::string>{"oob"});
}

TEST_P(Recorded, MachineTypes) {
    const auto pc = std::string(reply("machine-type").as_string());
    EXPECT_EQ(pc, "pc-i440fx-" + std::string(GetParam()) + "-machine");
    EXPECT_TRUE(is_pc_machine(pc));
    EXPECT_FALSE(is_pc_machine(std::string(reply("q35").as_string())));
}

TEST_P(Recorded, RunStates) {
    const auto prelaunch = parse_run_state(reply("query-status", 0));
    EXPECT_EQ(prelaunch.status, "prelaunch");
    EXPECT_TRUE(prelaunch.before_start());
    const auto running = parse_run_state(reply("query-status", 2));
    EXPECT_TRUE(running.running && running.status == "running");
    const auto paused = parse_run_state(reply("query-status", 4));
    EXPECT_TRUE(!paused.running && paused.status == "paused" && !paused.before_start());
    const auto events = all<Event>("query-status");
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].name + events[1].name, "RESUMESTOP");
    EXPECT_EQ(reply("query-status").as_object().contains("singlestep"), is_old());
}

TEST_P(Recorded, BusBeforeAndAfterPlugging) {
    const auto before = bus("bus-before");
    ASSERT_EQ(before.devices().size(), 4u); // host bridge, ISA, IDE, power management
    EXPECT_EQ(before.next_free(), 2u);
    EXPECT_EQ(before.free_slots().size(), 30u);
    EXPECT_NE(before.occupant(0), nullptr);
    EXPECT_NE(before.occupant(1), nullptr);

    const auto after = bus("bus-after", 1);
    const auto* gpu = after.find("gpu0");
    ASSERT_NE(gpu, nullptr);
    EXPECT_EQ(gpu->guest_address(), "0000:00:05.0");
    EXPECT_EQ(gpu->label(), "05.0 gpu0 (1af4:1005)");
    EXPECT_EQ(gpu->class_code, 0x00ff);
    EXPECT_EQ(after.devices().size(), 5u);
    EXPECT_EQ(reply("addr", 0), 5 * 8); // what QOM says of the same
    EXPECT_EQ(reply("addr", 1), "05.0");

    const auto two = bus("bus-after-two", 1);
    const auto* nic = two.find("nic0");
    ASSERT_NE(nic, nullptr);
    EXPECT_EQ(nic->label(), "1d.0 nic0 (8086:100e)");
    EXPECT_EQ(nic->class_text, "Ethernet controller");
    EXPECT_EQ(nic->class_code, 0x0200);
    EXPECT_EQ(two.free_slots().size(), 28u);
}

TEST_P(Recorded, PeripheralsAreListedByTheirId) {
    EXPECT_EQ(names(reply("bus-before", 1)), (std::set<std::string>{"type"}));
    EXPECT_EQ(names(reply("bus-after", 2)), (std::set<std::string>{"type", "gpu0"}));
    EXPECT_EQ(names(reply("bus-after-two", 2)), (std::set<std::string>{"type", "gpu0", "nic0"}));
}

TEST_P(Recorded, InventoryFromTheTwoReplies) {
    const auto seen = [](const std::string& session, std::size_t pci) {
        const auto inventory = Inventory::parse(reply(session, pci), reply(session, pci + 1));
        std::vector<std::string> out;
        for (const auto& device : inventory.devices())
            out.push_back(device.id + ' ' + device.type + ' ' + device.guest_address + ' ' +
                          std::string(text(device.state)));
        return out;
    };
    using Lines = std::vector<std::string>;
    EXPECT_EQ(seen("bus-before", 0), Lines{});
    EXPECT_EQ(seen("bus-after", 1), Lines{"gpu0 virtio-rng-pci 0000:00:05.0 present"});
    EXPECT_EQ(seen("bus-after-two", 1), (Lines{"gpu0 virtio-rng-pci 0000:00:05.0 present",
                                               "nic0 e1000 0000:00:1d.0 present"}));
    // The bus as it was, QEMU's book from before the second plug.
    const auto between = Inventory::parse(reply("bus-after-two", 1), reply("bus-after", 2));
    EXPECT_EQ(between.state("gpu0"), LifeState::present);
    EXPECT_EQ(between.state("nic0"), LifeState::removing);
}

TEST_P(Recorded, FullBus) {
    const auto full = bus("bus-full");
    EXPECT_EQ(full.next_free(), std::nullopt);
    EXPECT_NE(full.find("d29"), nullptr);
    EXPECT_EQ(full.full(1).code(), Errc::root_bus_full);
    const auto errors = all<ErrorReply>("bus-full");
    ASSERT_EQ(errors.size(), 1u);
    const auto meaning = classify("device_add", errors[0].error_class, errors[0].desc);
    EXPECT_EQ(meaning.refusal, Refusal::bus_full) << errors[0].desc;
}

TEST_P(Recorded, BadDeviceAdds) {
    struct Expected {
        const char* session;
        Errc old, current; ///< ok: this generation takes it
        bool advised;      ///< there is something to advise
    };
    const Expected table[] = {
        {"no-driver", Errc::qemu_refused, Errc::qemu_refused, false},
        {"unknown-model", Errc::qemu_refused, Errc::qemu_refused, true},
        {"unknown-bus", Errc::qemu_refused, Errc::qemu_refused, true},
        {"unknown-property", Errc::qemu_refused, Errc::qemu_refused, true},
        {"duplicate-id", Errc::already_attached, Errc::already_attached, true},
        {"taken-slot", Errc::invalid_argument, Errc::invalid_argument, true},
        {"slot-beyond-the-bus", Errc::qemu_refused, Errc::qemu_refused, false},
        {"function-beside-a-device", Errc::invalid_argument, Errc::invalid_argument, true},
        // What 9.2 began to check, and what it no longer does.
        {"string-for-a-boolean", Errc::ok, Errc::qemu_refused, false},
        {"string-for-an-integer", Errc::ok, Errc::qemu_refused, false},
        {"integer-addr", Errc::ok, Errc::invalid_argument, true}, // slot 8, then devfn 8
        {"ill-formed-id", Errc::invalid_argument, Errc::ok, true},
        {"vfio-nothing-given", Errc::invalid_argument, Errc::invalid_argument, true},
        {"vfio-bad-host", Errc::qemu_refused, Errc::qemu_refused, false},
        {"vfio-no-such-function", Errc::device_not_found, Errc::device_not_found, true},
        {"vfio-no-such-vgpu", Errc::device_not_found, Errc::device_not_found, true},
        {"vfio-nohotplug", Errc::qemu_refused, Errc::qemu_refused, true},
        {"vfio-ramfb", Errc::qemu_refused, Errc::qemu_refused, true},
        {"vfio-iommufd", Errc::qemu_refused, Errc::qemu_refused, is_old()},
    };
    std::size_t recorded = 0;
    for (const auto& entry : fs::directory_iterator(folder()))
        recorded += entry.path().filename().string().starts_with("bad-device-add-") ? 1 : 0;
    EXPECT_EQ(recorded, std::size(table));
    for (const auto& row : table) {
        SCOPED_TRACE(row.session);
        const auto session = "bad-device-add-" + std::string(row.session);
        const auto code = is_old() ? row.old : row.current;
        const auto errors = all<ErrorReply>(session);
        ASSERT_EQ(errors.size(), code == Errc::ok ? 0u : 1u);
        if (code == Errc::ok)
            continue;
        const QmpFailure failure("device_add", errors[0].error_class, errors[0].desc);
        EXPECT_EQ(name(failure.code()), name(code)) << failure.what();
        EXPECT_EQ(!failure.advice().empty(), row.advised) << failure.what();
        EXPECT_EQ(failure.verbatim(), errors[0].desc);
    }
    const auto q35 = all<ErrorReply>("q35");
    ASSERT_EQ(q35.size(), 1u);
    EXPECT_EQ(classify("device_add", q35[0].error_class, q35[0].desc).code,
              Errc::live_machine_refused);
}

TEST_P(Recorded, ErrorClasses) {
    const auto errors = all<ErrorReply>("other-errors");
    ASSERT_EQ(errors.size(), 3u);
    const auto absent = classify("device_del", errors[0].error_class, errors[0].desc);
    EXPECT_EQ(absent.code, Errc::not_attached);
    EXPECT_EQ(absent.refusal, Refusal::device_not_found);
    EXPECT_EQ(errors[1].error_class, "CommandNotFound");
    EXPECT_EQ(classify("qmp_capabilities", errors[2].error_class, errors[2].desc).code,
              Errc::qmp_protocol);
}

TEST_P(Recorded, RemovalFromABootedGuest) {
    const UnplugFsm fsm("gpu0", std::chrono::seconds(20), std::chrono::seconds(2));
    const auto events = all<Event>("device-del");
    std::vector<std::string> deleted;
    for (const auto& event : events)
        if (event.name == "DEVICE_DELETED") {
            deleted.emplace_back(event.text("path"));
            EXPECT_EQ(fsm.wants(event), event.text("path") == "/machine/peripheral/gpu0");
        }
    EXPECT_EQ(deleted, (std::vector<std::string>{"/machine/peripheral/gpu0/virtio-backend",
                                                 "/machine/peripheral/gpu0"}));
    const auto again = all<ErrorReply>("device-del");
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(classify("device_del", again[0].error_class, again[0].desc).refusal,
              Refusal::device_not_found);
}

TEST_P(Recorded, EndSaysShutdownBeforeItsReply) {
    const auto said = messages("quit");
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(std::get<Event>(said[0]).name, "SHUTDOWN");
    EXPECT_TRUE(std::holds_alternative<Reply>(said[1]));
}

TEST_P(Recorded, CommandsAndPropertiesWeSendAreKnown) {
    const auto commands = names(reply("query-commands"));
    for (const char* command : {"qmp_capabilities", "query-status", "query-pci", "qom-get",
                                "qom-list", "device_add", "device_del"})
        EXPECT_TRUE(commands.contains(command)) << command;
    // The schema masks types' names, but not those of commands and events.
    const auto schema = names(reply("query-qmp-schema"));
    for (const char* name : {"device_add", "DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR", "STOP",
                             "RESUME", "SHUTDOWN", "RESET"})
        EXPECT_TRUE(schema.contains(name)) << name;

    const auto properties = names(reply("vfio-pci-properties"));
    for (const char* property :
         {"sysfsdev", "host", "addr", "multifunction", "rombar", "romfile", "display"})
        EXPECT_TRUE(properties.contains(property)) << property;
    for (const char* property : {"iommufd", "fd", "vf-token", "enable-migration"})
        EXPECT_EQ(properties.contains(property), !is_old()) << property;
    EXPECT_EQ(properties.contains("x-enable-migration"), is_old());
    EXPECT_FALSE(properties.contains("ramfb")); // vfio-pci-nohotplug's alone
}

TEST_P(Recorded, Capabilities) {
    Capabilities expected;
    expected.sysfsdev = expected.unplug_guest_error = true;
    expected.fd = expected.iommufd = expected.iommufd_object = !is_old();
    const auto found = parse_capabilities(reply("query-qmp-schema"), reply("vfio-pci-properties"));
    EXPECT_EQ(found, expected);
    EXPECT_EQ(found.takes_iommufd(), !is_old());
}
