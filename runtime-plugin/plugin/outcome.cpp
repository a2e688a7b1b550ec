// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/outcome.hpp"

#include <boost/json.hpp>
#include <boost/system/system_error.hpp>

namespace kata_vfio::plugin {
namespace json = boost::json;

Failure failure_from(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const Failure& failure) {
        return failure;
    } catch (const boost::system::system_error& caught) {
        if (caught.code() == boost::system::errc::operation_canceled)
            return Failure(Errc::cancelled, "the request was cancelled");
        return Failure(Errc::internal, "unexpected error").said(caught.what());
    } catch (const std::exception& caught) {
        return Failure(Errc::internal, "unexpected error").said(caught.what());
    } catch (...) {
        return Failure(Errc::internal, "unexpected error of an unknown type");
    }
}

json::object attachment_json(const std::string& sandbox, const Attachment& attachment) {
    auto object = to_json(attachment);
    object["sandbox"] = sandbox;
    object["owned"] = attachment.owned();
    object.emplace("pending", nullptr); // where it is not there
    object.erase("made_vgpu");
    object.erase("bound");
    return object;
}

json::array attachments_json(const Outcome& outcome) {
    json::array attachments;
    for (const auto& [id, attachment] : outcome.attachments)
        attachments.push_back(attachment_json(id, attachment));
    return attachments;
}

json::object failure_json(const Failure& failure) {
    json::object object{{"status", static_cast<int>(failure.code())},
                        {"name", name(failure.code())},
                        {"message", failure.what()},
                        {"action", failure.action()},
                        {"problem", failure.problem()},
                        {"said", failure.verbatim()},
                        {"blocker", failure.blocker()},
                        {"remedy", failure.advice()}};
    return object;
}

json::object sandbox_json(const SandboxState& state) {
    json::array attachments;
    for (const auto& attachment : state.attachments)
        attachments.push_back(attachment_json(state.id, attachment));
    return {{"sandbox", state.id},
            {"qmp_socket", state.qmp_socket},
            {"machine", state.machine},
            {"attachments", std::move(attachments)},
            {"tainted", json::value_from(state.tainted)},
            {"owner_pid", state.owner_pid == 0 ? boost::json::value(nullptr)
                                               : boost::json::value(state.owner_pid)}};
}

} // namespace kata_vfio::plugin
