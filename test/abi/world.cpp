// SPDX-License-Identifier: Apache-2.0
#include "test/abi/world.hpp"

#include "config/base/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace kata_vfio::abi_test {
namespace fs = std::filesystem;

std::string configuration(std::string_view vfio, std::string_view timeouts) {
    std::string text = "[hypervisor.qemu]\nmachine_type = \"pc\"\nhotplug_vfio_on_root_bus = true\n"
                       "enable_annotations = [\"machine_type\", \"hotplug_vfio_on_root_bus\", "
                       "\"vgpu_.*\", \"gpu\"]\n";
    if (!vfio.empty())
        text += "[vfio]\n" + std::string(vfio) + "\n";
    if (!timeouts.empty())
        text += "[vfio.timeouts]\n" + std::string(timeouts) + "\n";
    return text;
}

World::World() {
    std::string name = (fs::temp_directory_path() / "kata-vfio-abi.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("can't make " + name);
    directory_ = name;
    config = directory_ / "configuration.toml";
    configure(configuration());
    root.populate_gvt_host();
    machine = std::make_unique<fake::FakeMachine>();
}

World::~World() {
    host.reset();
    machine.reset();
    kernel.reset();
    fs::remove_all(directory_);
}

void World::configure(std::string_view text) const {
    std::ofstream(config, std::ios::trunc) << text << std::flush;
}

void World::start() {
    kernel = std::make_unique<fake::FakeKernel>(root);
    host = std::make_unique<PluginHost>(config, root.path());
}

void World::start_with_sandbox() {
    machine->fill_bus(3); // so that no guest address is the host's by chance
    start();
    const auto opened = host->open("sb1", machine->path());
    ASSERT_TRUE(opened.ok()) << opened;
    sandbox = opened.sandbox;
    const auto attached = host->attach(sandbox, type8);
    ASSERT_TRUE(attached.ok()) << attached;
    const auto detached = host->detach(sandbox, type8);
    ASSERT_TRUE(detached.ok()) << detached;
}

void World::restart(std::string_view text) {
    host.reset();
    configure(text);
    host = std::make_unique<PluginHost>(config, root.path());
    const auto opened = host->open("sb1", "");
    ASSERT_TRUE(opened.ok()) << opened;
    sandbox = opened.sandbox;
}

void World::forget_bus() {
    machine->refuse_device_add("not now");
    ASSERT_FALSE(host->attach(sandbox, type8, uuid_b).ok());
    machine->refuse_device_add("");
}

void World::populate_physical() {
    fake::FunctionSpec spec;
    spec.address = std::string(physical);
    spec.driver = "xe";
    spec.group = 20;
    spec.total_functions = 3;
    root.populate_function(spec);
}

Snapshot World::snapshot() const {
    if (kernel)
        (void)kernel->log(); // waits for what it has in hand: a directory it is clearing away
    return Snapshot::of(root.path());
}

void World::expect_untouched(const Snapshot& before) const {
    EXPECT_EQ(difference(before, snapshot()), "");
}

void World::expect_refused(const Answer& answer, kata_vfio_status_t status,
                           const Snapshot& before) const {
    EXPECT_EQ(library().status_name(answer.status), std::string(library().status_name(status)))
        << answer.message;
    EXPECT_FALSE(answer.problem.empty());
    for (const auto& part :
         {answer.action, answer.problem, answer.said, answer.blocker, answer.remedy})
        EXPECT_NE(answer.message.find(part), std::string::npos) << part << "\n" << answer.message;
    EXPECT_EQ(answer.message.find('\n'), std::string::npos) << answer.message;
    EXPECT_EQ(answer.json.at("status").as_int64(), answer.status);
    EXPECT_EQ(answer.json.at("message").as_string(), answer.message);
    EXPECT_EQ(answer.attachments.size(), 0u);
    EXPECT_EQ(answer.sandbox, nullptr);
    expect_untouched(before);
}

std::string World::names(std::string_view directory) const {
    std::vector<std::string> found;
    std::error_code ec;
    for (fs::directory_iterator it(root.at(directory), ec), end; !ec && it != end; ++it)
        found.push_back(it->path().filename().string());
    std::sort(found.begin(), found.end());
    return join_words(found, " ");
}

std::vector<std::string> World::plugged() const {
    auto ids = machine->devices();
    std::erase_if(ids, [](const std::string& id) { return id.starts_with("fill"); });
    return ids;
}

std::string World::driver_of(std::string_view function) const {
    std::error_code ec;
    const auto link =
        fs::read_symlink(root.at("/sys/bus/pci/devices/" + std::string(function) + "/driver"), ec);
    return ec ? "" : link.filename().string();
}

} // namespace kata_vfio::abi_test
