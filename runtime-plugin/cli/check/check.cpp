// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/check.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/check/guest_kernel.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

json::array needed_by_json(Needs needs) {
    switch (needs) {
    case Needs::gvt_d:
        return {"gvt_d"};
    case Needs::gvt_g:
        return {"gvt_g"};
    case Needs::both:
        break;
    }
    return {"gvt_d", "gvt_g"};
}

std::string verdict_cell(Verdict verdict, bool colour) {
    std::string text(name(verdict));
    text.resize(7, ' ');
    if (!colour)
        return text;
    const char* code = verdict == Verdict::pass ? "32" : (verdict == Verdict::fail ? "31" : "33");
    return "\033[" + std::string(code) + "m" + text + "\033[0m";
}

} // namespace

std::string requirements_text(const std::vector<Requirement>& lines, Needs needs,
                              std::string_view heading, bool colour) {
    std::size_t widest = 0;
    for (const auto& line : lines)
        if (line.needed_by == needs)
            widest = std::max(widest, width(line.title));
    std::string text = std::string(heading) + "\n";
    for (const auto& line : lines) {
        if (line.needed_by != needs)
            continue;
        text += "  " + verdict_cell(line.verdict, colour) + "  " + printable(line.title);
        text.append(widest - width(line.title) + 2, ' ');
        text += printable(line.detail) + "\n";
        if (line.verdict != Verdict::pass && !line.fix.empty())
            text += "           -> " + printable(line.fix) + "\n";
    }
    return text;
}

std::string requirements_summary(const std::vector<Requirement>& lines, Needs mode,
                                 std::string_view title) {
    std::size_t failed = 0, unknown = 0;
    for (const auto& line : lines) {
        if (!line.required || (line.needed_by != Needs::both && line.needed_by != mode))
            continue;
        failed += line.verdict == Verdict::fail;
        unknown += line.verdict == Verdict::unknown;
    }
    auto text = std::string(title) + (failed == 0 ? ": ready" : ": not ready");
    if (failed > 0)
        text += ", " + std::to_string(failed) + " failed";
    if (unknown > 0)
        text += ", " + std::to_string(unknown) + " unknown";
    return text + "\n";
}

json::object check_json(const HostFacts& facts, const std::vector<Requirement>& lines) {
    json::array rows;
    for (const auto& line : lines)
        rows.push_back(json::object{{"id", line.id},
                                    {"title", line.title},
                                    {"needed_by", needed_by_json(line.needed_by)},
                                    {"required", line.required},
                                    {"verdict", name(line.verdict)},
                                    {"detail", line.detail},
                                    {"fix", line.fix}});
    return {{"kernel", facts.release},
            {"cpu", facts.cpu.model},
            {"gvt_d", json::object{{"ready", ready(lines, Needs::gvt_d)}}},
            {"gvt_g", json::object{{"ready", ready(lines, Needs::gvt_g)}}},
            {"checks", std::move(rows)}};
}

std::vector<Requirement> requirements_of(const json::object& checked) {
    std::vector<Requirement> lines;
    for (const auto& each : checked.at("checks").as_array()) {
        const auto& row = each.as_object();
        Requirement line;
        line.id = string_at(row, "id");
        line.title = string_at(row, "title");
        const auto& needed_by = row.at("needed_by").as_array();
        line.needed_by = needed_by.size() > 1         ? Needs::both
                         : needed_by.at(0) == "gvt_d" ? Needs::gvt_d
                                                      : Needs::gvt_g;
        line.required = row.at("required").as_bool();
        const auto verdict = string_at(row, "verdict");
        line.verdict = verdict == name(Verdict::pass)   ? Verdict::pass
                       : verdict == name(Verdict::fail) ? Verdict::fail
                                                        : Verdict::unknown;
        line.detail = string_at(row, "detail");
        line.fix = string_at(row, "fix");
        lines.push_back(std::move(line));
    }
    return lines;
}

std::string check_text(const std::vector<Requirement>& lines, bool colour) {
    return requirements_text(lines, Needs::both, "GVT-d and GVT-g need", colour) + "\n" +
           requirements_text(lines, Needs::gvt_d, "GVT-d needs also", colour) + "\n" +
           requirements_text(lines, Needs::gvt_g, "GVT-g needs also", colour) + "\n" +
           requirements_summary(lines, Needs::gvt_d, "GVT-d") +
           requirements_summary(lines, Needs::gvt_g, "GVT-g");
}

int check_result(const Arguments& arguments, const json::object& checked, Io& io) {
    io.out << (arguments.json ? json::serialize(checked) + "\n"
                              : check_text(requirements_of(checked), io.colour));
    const auto is_ready = [&](const char* mode) { return checked.at(mode).at("ready").as_bool(); };
    const bool want_d = arguments.gvt_d || !arguments.gvt_g;
    const bool good = (!want_d || is_ready("gvt_d")) && (!arguments.gvt_g || is_ready("gvt_g"));
    return good ? 0 : exit_status(Errc::host_io);
}

int check(const Arguments& arguments, Io& io) {
    if (!arguments.guest_kernel.empty())
        return check_guest_kernel(arguments, io);
    const auto facts = read_host_facts(vfio::HostRoot(arguments.root));
    return check_result(arguments, check_json(facts, evaluate(facts)), io);
}

} // namespace kata_vfio::cli
