// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/core.hpp"

#include <utility>

namespace kata_vfio::qemu {
namespace {

const ProxyError not_connected{"GenericError", "QMP backend is not connected"};

} // namespace

void ProxyCore::connected(const Greeting& greeting) {
    greeting_ = greeting;
    connected_ = true;
}

void ProxyCore::disconnected() {
    connected_ = false;
    for (auto& [id, member] : members_)
        if (member.command) {
            scheduler_.leave(id);
            member.command.reset();
            member.client.answer(not_connected);
            advance(id, member);
        }
}

std::optional<ProxyClientId> ProxyCore::join() {
    if (members_.size() >= limits_.clients)
        return std::nullopt;
    const auto id = next_id_++;
    members_.emplace(id, Member{ProxyClient(greeting_, policy_, limits_.max_unsent), std::nullopt});
    return id;
}

void ProxyCore::received(ProxyClientId id, std::string_view bytes) {
    const auto found = members_.find(id);
    if (found == members_.end())
        return;
    found->second.client.received(bytes);
    advance(id, found->second);
}

void ProxyCore::received(ProxyClientId id, std::shared_ptr<const UniqueFd> fd) {
    if (auto* known = client(id); known && policy_.takes_descriptors())
        known->received(std::move(fd));
}

void ProxyCore::leave(ProxyClientId id) {
    scheduler_.leave(id);
    members_.erase(id);
}

void ProxyCore::advance(ProxyClientId id, Member& member) {
    while (auto command = member.client.next()) {
        if (connected_) {
            member.command = std::move(command);
            return scheduler_.want(id);
        }
        member.client.answer(not_connected);
    }
}

std::optional<ProxyCore::Forward> ProxyCore::next() {
    const auto start = scheduler_.next();
    if (!start)
        return std::nullopt;
    auto& member = members_.at(start->client);
    Forward forward{start->ticket, std::move(*member.command)};
    member.command.reset();
    return forward;
}

void ProxyCore::answered(ProxyTicket ticket, const ProxyAnswer& answer) {
    const auto id = scheduler_.done(ticket);
    if (!id)
        return;
    auto& member = members_.at(*id);
    member.client.answer(answer);
    advance(*id, member);
}

void ProxyCore::event(const Event& event) {
    for (auto& [id, member] : members_)
        member.client.event(event);
}

ProxyClient* ProxyCore::client(ProxyClientId id) {
    const auto found = members_.find(id);
    return found == members_.end() ? nullptr : &found->second.client;
}

std::vector<ProxyClientId> ProxyCore::clients() const {
    std::vector<ProxyClientId> ids;
    for (const auto& [id, member] : members_)
        ids.push_back(id);
    return ids;
}

} // namespace kata_vfio::qemu
