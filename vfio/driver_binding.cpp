// SPDX-License-Identifier: Apache-2.0
#include "vfio/driver_binding.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/bind_plan.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/host_write.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"
#include "vfio/wait_path.hpp"

#include <algorithm>
#include <ostream>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

using Kind = BindStep::Kind;
constexpr auto undo_time = std::chrono::seconds(5);

BindState state_of(const PciFunction& function) {
    return BindState{function.driver, function.driver_override};
}

Failure blocked(const std::string& what, const std::string& control) {
    return Failure(Errc::host_timeout,
                   what + ": the kernel has not answered the write to " + control + " in time")
        .blocked_by("whoever still uses the function or its driver")
        .remedy("the write can't be taken back and ends by itself once they let go; then run "
                "kata-vfio restore to put the function right");
}

/// Carries out steps for one function.
class Executor {
  public:
    Executor(const HostRoot& root, const PciAddress& address, Deadline deadline)
        : root_(root), address_(address), dir_(function_path(root, address)), deadline_(deadline) {}

    void run(const BindStep& step) const {
        switch (step.kind) {
        case Kind::set_override:
            return set_override(step.value);
        case Kind::unbind:
            return unbind(step.value);
        case Kind::probe:
            return probe(step.value);
        }
    }

  private:
    /// Whether nobody can be inside an unbind of it now, so that its device lock is free.
    bool lock_is_free() const {
        const auto driver = link_name(dir_ / "driver");
        const auto group = group_link(dir_);
        const bool node = group && fs::exists(group_node(root_, *group));
        return !node || (driver && *driver != "vfio-pci" && names_in(dir_ / "vfio-dev").empty());
    }

    HostWriteResult write(const fs::path& path, const std::string& value,
                          bool direct = false) const {
        return direct ? host_write_direct(path, value + "\n")
                      : host_write(path, value + "\n", deadline_);
    }

    [[noreturn]] void refused(const fs::path& path, const std::string& value,
                              const HostWriteResult& result) const {
        throw host_failure(result.error, "can't write " + (value.empty() ? "a newline" : value) +
                                             " to " + root_.told(path).string());
    }

    void set_override(const std::string& value) const {
        const auto path = dir_ / "driver_override";
        // "" becomes a lone newline: that clears it, a write of no bytes would do nothing.
        const auto result = write(path, value, lock_is_free());
        if (result.outcome == HostWriteOutcome::pending)
            throw blocked(address_.text(), root_.told(path).string());
        if (result.outcome == HostWriteOutcome::failed)
            refused(path, value, result);
    }

    void unbind(const std::string& driver) const {
        const auto path = root_.sys("bus/pci/drivers") / driver / "unbind";
        const auto result = write(path, address_.text());
        if (result.outcome == HostWriteOutcome::pending)
            throw blocked("unbind of " + address_.text() + " from " + driver,
                          root_.told(path).string());
        const auto gone = [this] { return !link_name(dir_ / "driver").has_value(); };
        if (result.outcome == HostWriteOutcome::failed && !gone())
            refused(path, address_.text(), result);
        if (!settled(dir_, gone, deadline_, root_.watches()))
            throw Failure(Errc::bind_failed, address_.text() + " is still bound to " +
                                                 link_name(dir_ / "driver").value_or("nothing") +
                                                 " after the unbind from " + driver);
    }

    void probe(const std::string& driver) const {
        const auto path = root_.sys("bus/pci/drivers_probe");
        const auto result = write(path, address_.text());
        if (result.outcome == HostWriteOutcome::pending)
            throw blocked("probe of " + address_.text() + " for " + driver,
                          root_.told(path).string());
        const bool done = result.outcome == HostWriteOutcome::done;
        if (!done && result.at_open)
            refused(path, address_.text(), result);
        // The write succeeds whatever has bound, and gives EINVAL for whatever a probe failed with.
        const auto any = [this] { return link_name(dir_ / "driver").has_value(); };
        if (done)
            settled(dir_, any, deadline_, root_.watches());
        const auto now = link_name(dir_ / "driver");
        if (now == driver)
            return;
        Failure failure(Errc::bind_failed,
                        driver + " did not bind to " + address_.text() + ": " +
                            (now ? *now + " did" : std::string("no driver is bound")));
        if (!done)
            failure.sys(result.error);
        throw failure.remedy("see the kernel log for what " + driver + " said");
    }

    const HostRoot& root_;
    PciAddress address_;
    fs::path dir_;
    Deadline deadline_;
};

void refuse_unfit(const HostRoot& root, const PciFunction& function, const std::string& driver) {
    const auto name = function.address.text();
    if (function.is_bridge())
        throw Failure(Errc::bind_failed, name + " is a bridge (class " + function.class_text() +
                                             ", header type " +
                                             std::to_string(function.header_type) + ")")
            .remedy("vfio-pci takes endpoints only: name the function behind it");
    if (function.virtual_functions > 0)
        throw Failure(Errc::device_in_use, name + " has " +
                                               std::to_string(function.virtual_functions) +
                                               " virtual functions enabled")
            .remedy("take one of those instead, or free them: echo 0 > /sys/bus/pci/devices/" +
                    name + "/sriov_numvfs");
    require_no_mediated_devices(function.address, mediated_devices(root, function.address));
    const int group = group_of(root, function.address);
    if (!fs::exists(root.sys("bus/pci/drivers") / driver))
        throw Failure(Errc::driver_missing, "the kernel driver " + driver + " is not loaded")
            .remedy("modprobe " + driver);
    hold_group(root, group, name); // let go at once: it is only asked whether a sibling is in use
}

[[noreturn]] void refuse_pending_unbind(const HostRoot& root, const PciFunction& function) {
    const auto name = function.address.text();
    // The users of the function itself, or of the mediated devices on it.
    std::vector<std::string> who;
    const auto dir = function_path(root, function.address);
    auto devices = names_in(dir);
    devices.emplace_back(".");
    for (const auto& device : devices) {
        if (const auto group = group_link(dir / device))
            for (const auto& holder : group_holders(root, *group))
                who.push_back(text(holder));
    }
    throw Failure(Errc::device_in_use, "an unbind of " + name + " is still under way")
        .blocked_by(who.empty() ? "a process that can't be seen from here" : join_words(who))
        .remedy("it ends once that process lets the function go; try again then");
}

/// "0000:00:02.0 is left with driver i915, ..."; never throws for the host's sake: it completes a
/// failure.
std::string left_with(const HostRoot& root, const PciAddress& address) {
    try {
        return address.text() + " is left with " + text(state_of(read_function(root, address)));
    } catch (const Failure& failure) {
        return std::string("its state now can't be read: ") + failure.what();
    }
}

void append_remedy(Failure& failure, const std::string& text) {
    failure.remedy(failure.advice().empty() ? text : text + "; " + failure.advice());
}

/// Puts the function back and adds to `failure` what became of that.
void undo(const HostRoot& root, const BindRecord& record, Failure& failure) {
    const BindState earlier{record.earlier_driver, record.earlier_override};
    std::string left;
    try {
        const auto now = state_of(read_function(root, record.address));
        const Executor executor(root, record.address, undo_time);
        for (const auto& step : plan_undo(now, earlier))
            executor.run(step);
        left = "it was put back: " + text(earlier);
    } catch (const Failure& second) {
        left = "putting it back failed (" + std::string(second.what()) +
               "): " + left_with(root, record.address);
    }
    append_remedy(failure, left);
}

} // namespace

BindRecord bind_to_vfio(const HostRoot& root, const PciAddress& address,
                        const BindOptions& options) {
    const auto function = read_function(root, address);
    if (function.unbind_pending)
        refuse_pending_unbind(root, function);
    BindRecord record;
    record.address = address;
    record.earlier_driver = function.driver;
    record.earlier_override = function.driver_override;
    record.driver = options.driver;
    if (function.driver == options.driver || (function.on_vfio && options.driver == "vfio-pci")) {
        record.driver = *function.driver;
        return record;
    }
    refuse_unfit(root, function, options.driver);

    record.changed = true;
    if (options.before_first_write)
        options.before_first_write(record);
    const Executor executor(root, address, options.deadline);
    try {
        for (const auto& step : plan_bind(state_of(function), options.driver))
            executor.run(step);
    } catch (Failure& failure) {
        // A blocked write holds the device lock: an undo would only block behind it.
        if (failure.code() != Errc::host_timeout)
            undo(root, record, failure);
        throw failure.during("bind " + address.text() + " to " + options.driver);
    }
    return record;
}

std::ostream& operator<<(std::ostream& out, RestoreOutcome outcome) {
    switch (outcome) {
    case RestoreOutcome::restored:
        return out << "restored";
    case RestoreOutcome::unchanged:
        return out << "unchanged";
    case RestoreOutcome::left_alone:
        return out << "left_alone";
    }
    return out;
}

RestoreResult restore_driver(const HostRoot& root, const BindRecord& record, Deadline deadline) {
    const auto name = record.address.text();
    if (!record.changed)
        return {RestoreOutcome::unchanged, name + " was on " + record.driver + " before"};
    const auto function = read_function(root, record.address);
    if (function.unbind_pending)
        refuse_pending_unbind(root, function);
    const auto now = state_of(function);
    const auto steps = plan_restore(now, record);
    if (!steps)
        return {RestoreOutcome::left_alone, name + " was left alone: it has " + text(now) +
                                                ", so somebody else has rebound it"};
    if (steps->empty())
        return {RestoreOutcome::unchanged, name + " has " + text(now) + " already"};

    UniqueFd held;
    if (function.on_vfio && function.iommu_group)
        held = hold_group(root, *function.iommu_group, name);
    if (record.earlier_driver && now.driver != record.earlier_driver &&
        !fs::exists(root.sys("bus/pci/drivers") / *record.earlier_driver))
        throw Failure(Errc::driver_missing, "the earlier driver of " + name + ", " +
                                                *record.earlier_driver + ", is not loaded any more")
            .remedy("modprobe " + *record.earlier_driver + ", then try again");
    const Executor executor(root, record.address, deadline);
    try {
        for (const auto& step : *steps) {
            executor.run(step);
            if (step.kind == Kind::unbind)
                held.reset(); // the group is to be the host driver's again
        }
    } catch (Failure& failure) {
        if (failure.code() != Errc::host_timeout)
            append_remedy(failure, left_with(root, record.address));
        throw failure.during("restore " + name);
    }
    return {RestoreOutcome::restored,
            name + " has " + text(BindState{record.earlier_driver, record.earlier_override}) +
                " again"};
}

} // namespace kata_vfio::vfio
