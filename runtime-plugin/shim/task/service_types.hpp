// SPDX-License-Identifier: Apache-2.0
// What Service's own files share.
#pragma once

#include "runtime-plugin/shim/task/pace.hpp"
#include "runtime-plugin/shim/task/service.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace kata_vfio::shim {

struct Service::Process {
    Process(boost::asio::io_context& io, std::string container, std::string exec)
        : container_id(std::move(container)), exec_id(std::move(exec)), ended(io) {}

    std::string container_id;
    std::string exec_id; ///< "": the container's first
    Life life;
    Future<Exit> ended;
    std::unique_ptr<Stdio> stdio;
    std::uint32_t number = 0; ///< the guest's; 0 before it is started, and for a sandbox's own
    agent::ProcessSpec spec;  ///< of an exec
    const std::string& event_id() const { return exec_id.empty() ? container_id : exec_id; }
};

struct Service::Container {
    explicit Container(boost::asio::io_context& io) : made(io) {}

    Future<bool> made; ///< set when its Create has ended: false, it failed
    std::string id, bundle;
    oci::Kind kind = oci::Kind::single;
    agent::ContainerSpec spec;
    std::shared_ptr<Process> first;
    std::map<std::string, std::shared_ptr<Process>> execs;
    bool deleting = false;
    Pace ooms{std::chrono::seconds(1)};
};

template <class Message>
Message parsed(const std::string& payload) {
    Message message;
    if (!message.ParseFromString(payload))
        throw ttrpc::Error(ttrpc::Code::invalid_argument,
                           "the request is no " + message.GetTypeName());
    return message;
}

} // namespace kata_vfio::shim
