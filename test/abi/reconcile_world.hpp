// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/abi/world.hpp"

#include <boost/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::abi_test {

namespace json = boost::json;

constexpr std::string_view foreign = "11111111-2222-4333-8444-555555555555";

/// A host with somebody else's vGPU on it, and what a reconcile says of the rest.
class Reconcile : public World {
  protected:
    Reconcile() {
        root.populate_mtty();
        root.populate_mdev("mtty", "mtty-1", std::string(foreign), 40);
    }
    /// The one sandbox of that id in the report.
    static json::object sandbox_in(const Answer& answer, std::string_view id) {
        for (const auto& each : answer.json.at("sandboxes").as_array())
            if (each.at("sandbox").as_string() == id)
                return each.as_object();
        ADD_FAILURE() << "no sandbox " << id << " in " << answer.json;
        return {};
    }
    static std::string verdict(const Answer& answer, std::string_view id = "sb1") {
        return std::string(sandbox_in(answer, id).at("verdict").as_string());
    }
    static json::object device_in(const Answer& answer, std::string_view name) {
        for (const auto& each : answer.json.at("devices").as_array())
            if (each.at("name").as_string() == name)
                return each.as_object();
        ADD_FAILURE() << "no device " << name << " in " << answer.json;
        return {};
    }
    static std::vector<std::string> actions(const json::object& sandbox) {
        std::vector<std::string> texts;
        for (const auto& each : sandbox.at("actions").as_array())
            texts.push_back(std::string(each.at("action").as_string()) + " " +
                            std::string(each.at("subject").as_string()));
        return texts;
    }
    static Snapshot host_side(Snapshot tree) {
        std::erase_if(tree.entries, [](const auto& e) {
            return e.first.starts_with("run/") || e.first.starts_with("proc/");
        });
        return tree;
    }
    void expect_host_as(const Snapshot& before) const {
        EXPECT_EQ(difference(host_side(before), host_side(snapshot())), "");
    }
    void die() {
        host->close(sandbox);
        machine->kill();
    }
    void process(int pid, int start) const {
        root.write("/proc/" + std::to_string(pid) + "/stat",
                   std::to_string(pid) + " (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " +
                       std::to_string(start) + " 0 0\n");
    }
};

} // namespace kata_vfio::abi_test
