// SPDX-License-Identifier: Apache-2.0
#include "qemu/device_life.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

namespace kata_vfio::qemu {
namespace {

using State = LifeState;
using On = LifeEvent;
using Do = LifeStep;

struct Row {
    LifeEvent event;
    std::array<LifeCell, life_states> cells; ///< by state
};

constexpr State absent = State::absent, plugging = State::plugging, present = State::present,
                pending = State::unplug_pending, removing = State::removing, lost = State::lost;

// Why the less obvious cells are as they are:
// - Nothing but QEMU's book (found_absent) makes a device absent, and its refusal of the device_add
//   that would have brought it in. DEVICE_DELETED and DeviceNotFound lead to the question.
// - Once it is `removing`, no error and no event weighs against that: all lead to the question.
// - An answer nobody waits for (absent, present, lost) changes nothing, except that DeviceNotFound
//   is news of a device thought present.
// - A guest that is stopped, or busy, or has been asked already, is waited for, never pressed.
// clang-format off
constexpr auto rows = std::to_array<Row>({
    //                      absent                      plugging                    present                     unplug_pending               removing                       lost
    {On::plug_begun,      {{{plugging, Do::send_add},   {plugging, Do::refuse},     {present, Do::refuse},      {pending, Do::refuse},        {removing, Do::refuse},        {lost, Do::verify}}}},
    {On::unplug_begun,    {{{absent, Do::done},         {pending, Do::ask_status},  {pending, Do::ask_status},  {pending, Do::ask_status},    {removing, Do::verify},        {lost, Do::verify}}}},
    {On::reply_ok,        {{{absent, Do::none},         {present, Do::done},        {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::reply_not_found, {{{absent, Do::none},         {absent, Do::refuse},       {removing, Do::verify},     {removing, Do::verify},       {removing, Do::verify},        {lost, Do::verify}}}},
    {On::reply_pending,   {{{absent, Do::none},         {absent, Do::refuse},       {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::reply_busy,      {{{absent, Do::none},         {absent, Do::refuse},       {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::reply_no_room,   {{{absent, Do::none},         {absent, Do::choose_slot},  {present, Do::none},        {present, Do::refuse},        {removing, Do::verify},        {lost, Do::none}}}},
    {On::reply_refused,   {{{absent, Do::none},         {absent, Do::refuse},       {present, Do::none},        {present, Do::refuse},        {removing, Do::verify},        {lost, Do::none}}}},
    {On::unanswered,      {{{absent, Do::none},         {plugging, Do::take_back},  {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::verify}}}},
    {On::silent,          {{{absent, Do::none},         {lost, Do::unanswered},     {lost, Do::unanswered},     {lost, Do::unanswered},       {lost, Do::unanswered},        {lost, Do::unanswered}}}},
    {On::deleted,         {{{absent, Do::none},         {removing, Do::verify},     {removing, Do::verify},     {removing, Do::verify},       {removing, Do::verify},        {removing, Do::verify}}}},
    {On::child_deleted,   {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {pending, Do::none},          {removing, Do::none},          {lost, Do::none}}}},
    {On::guest_refused,   {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {present, Do::guest_refused}, {removing, Do::verify},        {lost, Do::none}}}},
    {On::reset,           {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::disconnected,    {{{absent, Do::none},         {lost, Do::gone},           {lost, Do::gone},           {lost, Do::gone},             {lost, Do::gone},              {lost, Do::none}}}},
    {On::crashed,         {{{absent, Do::none},         {lost, Do::crash},          {lost, Do::crash},          {lost, Do::crash},            {lost, Do::crash},             {lost, Do::none}}}},
    {On::found_present,   {{{present, Do::tell},        {present, Do::done},        {present, Do::none},        {pending, Do::send_del},      {present, Do::contradiction},  {present, Do::done}}}},
    {On::found_absent,    {{{absent, Do::none},         {absent, Do::tell},         {absent, Do::tell},         {absent, Do::done},           {absent, Do::done},            {absent, Do::done}}}},
    {On::resend_due,      {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {pending, Do::send_del},      {removing, Do::verify},        {lost, Do::verify}}}},
    {On::deadline,        {{{absent, Do::none},         {plugging, Do::take_back},  {present, Do::none},        {pending, Do::verify},        {removing, Do::verify},        {lost, Do::unanswered}}}},
    {On::guest_running,   {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::guest_stopped,   {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {pending, Do::wait},          {removing, Do::verify},        {lost, Do::none}}}},
    {On::prelaunch,       {{{absent, Do::none},         {plugging, Do::none},       {present, Do::none},        {present, Do::refuse_early},  {removing, Do::verify},        {lost, Do::none}}}},
});
// clang-format on

constexpr bool in_order() {
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].event != static_cast<On>(i))
            return false;
    return true;
}
static_assert(rows.size() == life_events &&
              static_cast<std::size_t>(On::prelaunch) + 1 == life_events);
static_assert(static_cast<std::size_t>(State::lost) + 1 == life_states);
static_assert(static_cast<std::size_t>(Do::tell) + 1 == life_steps);
static_assert(in_order(), "a row for each event, in the order of the enumeration");

constexpr std::array<std::string_view, life_states> state_texts{
    "absent", "plugging", "present", "unplug_pending", "removing", "lost"};
constexpr std::array<std::string_view, life_events> event_texts{
    "plug_begun",    "unplug_begun",  "reply_ok",      "reply_not_found", "reply_pending",
    "reply_busy",    "reply_no_room", "reply_refused", "unanswered",      "silent",
    "deleted",       "child_deleted", "guest_refused", "reset",           "disconnected",
    "crashed",       "found_present", "found_absent",  "resend_due",      "deadline",
    "guest_running", "guest_stopped", "prelaunch"};
constexpr std::array<std::string_view, life_steps> step_texts{
    "none",          "send_add",   "choose_slot", "take_back", "ask_status",   "send_del",
    "wait",          "verify",     "done",        "refuse",    "refuse_early", "guest_refused",
    "contradiction", "unanswered", "gone",        "crash",     "tell"};

/// What QEMU itself sends; RESET has to be the last of these before the end to be its cause.
constexpr bool is_qemus(On event) noexcept {
    return event == On::deleted || event == On::child_deleted || event == On::guest_refused ||
           event == On::guest_running || event == On::guest_stopped;
}

} // namespace

std::string_view text(LifeState state) noexcept {
    return state_texts[static_cast<std::size_t>(state)];
}
std::string_view text(LifeEvent event) noexcept {
    return event_texts[static_cast<std::size_t>(event)];
}
std::string_view text(LifeStep step) noexcept {
    return step_texts[static_cast<std::size_t>(step)];
}
std::ostream& operator<<(std::ostream& out, LifeState state) {
    return out << text(state);
}
std::ostream& operator<<(std::ostream& out, LifeEvent event) {
    return out << text(event);
}
std::ostream& operator<<(std::ostream& out, LifeStep step) {
    return out << text(step);
}

const LifeCell& life_cell(LifeState state, LifeEvent event) noexcept {
    return rows[static_cast<std::size_t>(event)].cells[static_cast<std::size_t>(state)];
}

LifeStep DeviceLife::on(LifeEvent event) noexcept {
    if (event == On::disconnected && reset_)
        event = On::crashed;
    reset_ = event == On::reset || (reset_ && !is_qemus(event));
    const auto& cell = life_cell(state_, event);
    state_ = cell.next;
    return cell.step;
}

std::optional<LifeEvent> life_event(const Event& event, std::string_view id) {
    if (event.name == "STOP")
        return On::guest_stopped;
    if (event.name == "RESUME")
        return On::guest_running;
    if (event.name == "RESET")
        return On::reset;
    const bool ours = event.text("device") == id;
    if (event.name == "DEVICE_UNPLUG_GUEST_ERROR" || event.name == "MEM_UNPLUG_ERROR")
        return ours ? std::optional(On::guest_refused) : std::nullopt;
    if (event.name != "DEVICE_DELETED")
        return std::nullopt;
    if (ours)
        return On::deleted;
    // A device of another id keeps that, whatever its path looks like.
    constexpr std::string_view book = "/machine/peripheral/";
    auto path = event.text("path");
    if (event.data.contains("device") || !path.starts_with(book))
        return std::nullopt;
    path.remove_prefix(book.size());
    if (path == id)
        return On::deleted;
    if (path.starts_with(id) && path[id.size()] == '/')
        return On::child_deleted;
    return std::nullopt;
}

LifeEvent life_event(const QmpFailure& refused) noexcept {
    switch (refused.refusal()) {
    case Refusal::device_not_found:
        return On::reply_not_found;
    case Refusal::unplug_pending:
        return On::reply_pending;
    case Refusal::unplug_busy:
        return On::reply_busy;
    case Refusal::bus_full:
    case Refusal::slot_taken:
        return On::reply_no_room;
    case Refusal::duplicate_id: // the device of this id is none that this device_add brought in
    case Refusal::other:
        break;
    }
    return On::reply_refused;
}

LifeEvent life_event(const RunState& state) noexcept {
    if (state.before_start())
        return On::prelaunch;
    return state.running ? On::guest_running : On::guest_stopped;
}

std::optional<Command> command_of(LifeStep step, const std::string& id) {
    switch (step) {
    case Do::ask_status:
        return query_status();
    case Do::send_del:
        return device_del(id);
    case Do::verify:
        return qom_list("/machine/peripheral");
    default:
        return std::nullopt;
    }
}

} // namespace kata_vfio::qemu
