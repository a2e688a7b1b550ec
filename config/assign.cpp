// SPDX-License-Identifier: Apache-2.0
#include "config/assign.hpp"

#include "config/base/text.hpp"
#include "config/pattern.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

namespace kata_vfio::config {
namespace {

/// One value being put into one slot.
class Assignment {
  public:
    Assignment(const Key& key, const toml::node& value, const std::string& file,
               std::vector<Problem>& problems)
        : key_(key), value_(value), file_(file), problems_(problems) {}

    bool operator()(bool* slot) {
        if (const auto* boolean = value_.as_boolean()) {
            *slot = boolean->get();
            return true;
        }
        std::string hint;
        if (const auto* string = value_.as_string()) {
            if (string->get() == "true" || string->get() == "false")
                hint = "; write it without quotes: " + string->get();
        } else if (const auto* number = value_.as_integer();
                   number && (number->get() == 0 || number->get() == 1)) {
            hint = number->get() == 1 ? "; write true" : "; write false";
        }
        return wrong("must be true or false, is " + describe(value_) + hint);
    }

    bool operator()(std::int64_t* slot) {
        const auto number = whole_number();
        if (number)
            *slot = *number;
        return number.has_value();
    }

    bool operator()(std::chrono::milliseconds* slot) {
        const auto number = whole_number();
        if (number)
            *slot = std::chrono::milliseconds(*number);
        return number.has_value();
    }

    bool operator()(std::string* slot) {
        const auto* string = value_.as_string();
        if (!string)
            return wrong("must be a string, is " + describe(value_) +
                         (value_.is_boolean() || value_.is_number() ? "; write it in quotes" : ""));
        auto problem = choice_problem(key_, string->get());
        if (problem.empty())
            problem = zero_byte_problem(string->get());
        if (!problem.empty())
            return wrong(std::move(problem));
        *slot = string->get();
        return true;
    }

    bool operator()(std::vector<std::string>* slot) {
        const auto* array = value_.as_array();
        if (!array)
            return wrong("must be a list of strings, is " + describe(value_) +
                         (value_.is_string()
                              ? "; write [" + toml_string(value_.as_string()->get()) + "]"
                              : ""));
        std::vector<std::string> list;
        const auto before = problems_.size();
        for (const auto& element : *array) {
            const auto* string = element.as_string();
            std::string problem;
            if (!string)
                problem = "must be a list of strings, holds " + describe(element);
            else if (key_.regexes)
                problem = regex_problem(string->get());
            if (string && problem.empty())
                problem = zero_byte_problem(string->get());
            if (problem.empty())
                list.push_back(string->get());
            else
                wrong_at(element, std::move(problem));
        }
        if (problems_.size() != before)
            return false;
        *slot = std::move(list);
        return true;
    }

  private:
    bool wrong_at(const toml::node& node, std::string text) {
        problems_.push_back({begin_of(node.source(), file_), std::string(key_.name), text});
        return false;
    }
    bool wrong(std::string text) { return wrong_at(value_, std::move(text)); }

    // A path or a QEMU option ends at a zero byte, whatever was checked behind it.
    static std::string zero_byte_problem(const std::string& text) {
        return text.find('\0') == std::string::npos ? std::string() : "must not hold a zero byte";
    }

    std::optional<std::int64_t> whole_number() {
        std::optional<std::int64_t> number;
        if (const auto* integer = value_.as_integer())
            number = integer->get();
        else if (const auto* real = value_.as_floating_point();
                 real && key_.fraction && std::abs(real->get()) <= 1e9)
            number = static_cast<std::int64_t>(std::ceil(real->get()));
        if (!number) {
            const std::string unit = key_.unit.empty() ? "" : " (" + std::string(key_.unit) + ")";
            const auto* string = value_.as_string();
            const bool digits = string && !string->get().empty() &&
                                string->get().find_first_not_of("0123456789") == std::string::npos;
            wrong("must be a whole number" + unit + ", is " + describe(value_) +
                  (digits ? "; write it without quotes: " + string->get() : ""));
            return std::nullopt;
        }
        auto problem = range_problem(key_, *number);
        if (problem.empty())
            return number;
        wrong(std::move(problem));
        return std::nullopt;
    }

    const Key& key_;
    const toml::node& value_;
    const std::string& file_;
    std::vector<Problem>& problems_;
};

} // namespace

std::string describe(const toml::node& value) {
    switch (value.type()) {
    case toml::node_type::string:
        return "the string " + kata_vfio::quoted(value.as_string()->get());
    case toml::node_type::integer:
        return "the number " + std::to_string(value.as_integer()->get());
    case toml::node_type::floating_point: {
        std::ostringstream text;
        text << value.as_floating_point()->get();
        return "the number " + text.str();
    }
    case toml::node_type::boolean:
        return value.as_boolean()->get() ? "true" : "false";
    case toml::node_type::array:
        return "a list";
    case toml::node_type::table:
        return "a table";
    default:
        return "a date or time";
    }
}

Position begin_of(const toml::source_region& region, const std::string& file) {
    return {file, region.begin.line, region.begin.column};
}

std::optional<Problem> key_too_deep(std::string_view text, const std::string& file) {
    constexpr std::uint32_t most = 1000;
    std::uint32_t line = 1, column = 0, dots = 0;
    for (const char c : text) {
        ++column;
        if (c == '\n') {
            ++line;
            column = dots = 0;
        } else if (c == '.' && ++dots > most) {
            return Problem{{file, line, column},
                           "",
                           "has more than " + std::to_string(most) +
                               " dots in a line: no key has as many parts"};
        }
    }
    return std::nullopt;
}

namespace {

/// Whether toml++ stopped at the end of a line: within a string its quote is then not closed.
bool at_end_of_line(std::string_view text, const toml::source_position& at) {
    const auto lines = split(text, '\n');
    if (at.line < 1 || at.line > lines.size())
        return true;
    const auto line = lines[at.line - 1];
    const auto characters = std::ranges::count_if(line, [](unsigned char byte) {
        return byte != '\r' && (byte & 0xc0) != 0x80; // the first byte of each
    });
    return at.column > static_cast<std::size_t>(characters);
}

} // namespace

Problem syntax_problem(const toml::parse_error& error, std::string_view text,
                       const std::string& file) {
    const auto said = std::string(error.description());
    std::string remedy = "correct the file there; kata-vfio config check tells what is left";
    if (said.ends_with("could not determine value type"))
        remedy = "a text must stand in quotes";
    else if (said.find("while parsing string") != said.npos &&
             at_end_of_line(text, error.source().begin))
        remedy = "a quote is opened and not closed before the line ends: close it, or begin and "
                 "end a text of several lines with three quotes";
    return {begin_of(error.source(), file), "", "not valid TOML: " + said, std::move(remedy)};
}

bool assign(const Key& key, const toml::node& value, const Slot& slot, const std::string& file,
            std::vector<Problem>& problems) {
    return std::visit(Assignment(key, value, file, problems), slot);
}

} // namespace kata_vfio::config
