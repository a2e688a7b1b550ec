// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/bound_record.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <boost/json.hpp>

#include <cerrno>
#include <stdexcept>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {
constexpr int version = 1;
}

std::filesystem::path BoundRecords::file(const vfio::PciAddress& address) const {
    return directory_.bound() / (address.text() + ".json");
}

std::optional<vfio::BindRecord> BoundRecords::load(const vfio::PciAddress& address) const {
    const auto path = file(address);
    const auto bytes = read_file(path, 65536);
    if (!bytes)
        return std::nullopt;
    try {
        const auto value = json::parse(*bytes);
        const auto& object = value.as_object();
        if (const auto found = json::value_to<int>(object.at("version")); found != version)
            throw std::invalid_argument("version " + std::to_string(found));
        auto record = plugin::bind_record_from_json(object.at("record"));
        if (record.address != address)
            throw std::invalid_argument("it is about " + record.address.text());
        return record;
    } catch (const std::exception& error) {
        throw Failure(Errc::state_corrupt, path.string() + " is not the record of a bind")
            .said(error.what())
            .remedy("look at it and remove it; kata-vfio restore then lets the kernel choose the "
                    "driver");
    }
}

void BoundRecords::save(const vfio::BindRecord& record) const {
    directory_.ensure(directory_.bound());
    const auto held = directory_.lock(); // StateDir::clear_temporaries() must not meet one at work
    const json::object object{{"version", version}, {"record", plugin::to_json(record)}};
    write_atomically(file(record.address), json::serialize(object) + "\n");
}

void BoundRecords::forget(const vfio::PciAddress& address) const {
    const auto path = file(address);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove " + path.string());
}

} // namespace kata_vfio::cli
