// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/topology/topology.hpp"

#include "config/base/text.hpp"
#include "config/base/xml_text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <map>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

// Pixels. Text is monospaced and 12 high, 7.3 wide at most in what browsers take for monospace.
constexpr int margin = 16, column_gap = 90, box_gap = 12, line_height = 17, pad = 8, title = 30;
constexpr int widths[] = {330, 350, 350};

constexpr int column_x(std::size_t column) {
    int x = margin;
    for (std::size_t i = 0; i < column; ++i)
        x += widths[i] + column_gap;
    return x;
}

constexpr auto style = R"(<style>
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24}
.head{font-weight:bold}.dim{fill:#57606a}.bad{fill:#b42318}
.group{fill:#f3f4f6;stroke:#8c959f;stroke-dasharray:4 3}
.function{fill:#dbeafe;stroke:#1d4ed8}.vgpu{fill:#dcfce7;stroke:#15803d}
.sandbox{fill:#fef3c7;stroke:#b45309}.slot{fill:#fff;stroke:#b45309}
.line{fill:none;stroke:#57606a;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9da7b3}.bad{fill:#ff8a80}
.page{fill:#0d1117}.group{fill:#161b22;stroke:#6e7681}.function{fill:#12305e}.vgpu{fill:#0f3d22}
.sandbox{fill:#4a3208}.slot{fill:#0d1117}.line{stroke:#9da7b3}}
.page{fill:#fff}
</style>
)";

struct Line {
    std::string text;
    const char* css = "";
};

struct Point {
    int x = 0, y = 0;
};

class Drawing {
  public:
    explicit Drawing(const json::object& topology) {
        draw_host(topology);
        if (const auto& sandboxes = topology.at("sandboxes"); sandboxes.is_array())
            for (const auto& sandbox : sandboxes.get_array())
                draw_sandbox(sandbox.as_object());
        draw_lines();
    }

    std::string svg() const {
        const int width = column_x(2) + widths[2] + margin;
        const int height =
            std::max({bottom_[0], bottom_[1], bottom_[2], title + 3 * line_height}) + margin;
        std::string out =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(width) +
            "\" height=\"" + std::to_string(height) + "\" viewBox=\"0 0 " + std::to_string(width) +
            " " + std::to_string(height) +
            "\" role=\"img\" aria-label=\"GPUs, vGPUs and sandboxes of this host\">\n";
        out += style;
        out += "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n";
        const char* const heads[] = {"GPUs by IOMMU group", "vGPUs", "Sandboxes, bus pci.0"};
        for (std::size_t column = 0; column < 3; ++column) {
            out += text_at({column_x(column), margin + 8}, {heads[column], "head"});
            if (bottom_[column] == title)
                out += text_at({column_x(column), title + line_height}, {"none", "dim"});
        }
        return out + groups_ + lines_ + boxes_ + "</svg>\n";
    }

  private:
    static std::string text_at(Point at, const Line& line) {
        return "<text x=\"" + std::to_string(at.x) + "\" y=\"" + std::to_string(at.y) + "\"" +
               (*line.css ? " class=\"" + std::string(line.css) + "\"" : std::string()) + ">" +
               xml_escaped(line.text) + "</text>\n";
    }

    static std::string rect(const char* css, int x, int y, int width, int height) {
        return "<rect class=\"" + std::string(css) + "\" x=\"" + std::to_string(x) + "\" y=\"" +
               std::to_string(y) + "\" width=\"" + std::to_string(width) + "\" height=\"" +
               std::to_string(height) + "\" rx=\"4\"/>\n";
    }

    /// What does not fit the box ends in "…"; the whole is in the box's tooltip.
    static Line fitted(Line line, int width) {
        const auto room = static_cast<std::size_t>((width - 2 * pad) * 10 / 73);
        line.text = printable(line.text);
        if (cli::width(line.text) > room && room < line.text.size()) {
            auto end = room - 1;
            while (end > 0 && (static_cast<unsigned char>(line.text[end]) & 0xC0) == 0x80)
                --end; // never within a UTF-8 sequence
            line.text = line.text.substr(0, end) + "\u2026";
        }
        return line;
    }

    /// A box at (x, y); its height.
    int box(const char* css, int x, int y, int width, const std::vector<Line>& lines) {
        const int height = 2 * pad + line_height * static_cast<int>(lines.size()) - 4;
        std::string tip;
        for (const auto& each : lines)
            tip += (tip.empty() ? "" : "\n") + printable(each.text);
        boxes_ += "<g><title>" + xml_escaped(tip) + "</title>\n" + rect(css, x, y, width, height);
        for (std::size_t i = 0; i < lines.size(); ++i)
            boxes_ += text_at({x + pad, y + pad + 9 + line_height * static_cast<int>(i)},
                              fitted(lines[i], width));
        boxes_ += "</g>\n";
        return height;
    }

    void draw_host(const json::object& topology) {
        // In the order of their first function, each group with all of its functions.
        std::vector<std::pair<std::string, std::vector<const json::object*>>> groups;
        for (const auto& each : topology.at("functions").as_array()) {
            const auto& function = each.as_object();
            const auto group = number_at(function, "iommu_group");
            const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& have) {
                return have.first == group && !group.empty();
            });
            if (found == groups.end())
                groups.push_back({group, {&function}});
            else
                found->second.push_back(&function);
        }
        for (const auto& [group, functions] : groups)
            draw_group(group, functions);
        for (const auto& each : topology.at("parents").as_array()) {
            const auto& parent = each.as_object();
            align();
            const auto name = string_at(parent, "parent");
            std::vector<Line> lines{{name, "head"}, {"no PCI function", "dim"}};
            add_types(parent, lines);
            const int y = bottom_[0];
            const int height = box("function", column_x(0) + pad, y, widths[0] - 2 * pad, lines);
            bottom_[0] = y + height + box_gap;
            draw_vgpus(parent, {column_x(0) + widths[0] - pad, y + height / 2}, y);
        }
    }

    /// A function's vGPUs stand beside it: the next one begins below both.
    void align() { bottom_[0] = bottom_[1] = std::max(bottom_[0], bottom_[1]); }

    static void add_types(const json::object& parent, std::vector<Line>& lines) {
        for (const auto& each : parent.at("types").as_array()) {
            const auto& type = each.as_object();
            lines.push_back(
                {string_at(type, "type") + ": " + number_at(type, "available_instances") + " left",
                 "dim"});
        }
    }

    void draw_group(const std::string& group, const std::vector<const json::object*>& functions) {
        align();
        const int top = bottom_[0];
        const auto node = string_at(*functions.front(), "node");
        const Line head{group.empty() ? "no IOMMU group"
                                      : "IOMMU group " + group + (node.empty() ? "" : "  " + node),
                        "dim"};
        bottom_[0] += pad + line_height;
        for (const auto* function : functions) {
            bottom_[0] = std::max(bottom_[0], function == functions.front() ? 0 : bottom_[1]);
            draw_function(*function);
        }
        groups_ += rect("group", column_x(0), top, widths[0], bottom_[0] - top - box_gap + pad);
        groups_ += text_at({column_x(0) + pad, top + pad + 9}, fitted(head, widths[0]));
        bottom_[0] += pad + box_gap;
    }

    void draw_function(const json::object& function) {
        const auto address = string_at(function, "address");
        const auto driver = string_at(function, "driver");
        std::vector<Line> lines{{address + "  " + string_at(function, "ids"), "head"},
                                {"class " + string_at(function, "class") + ", " +
                                     (driver.empty() ? std::string("no driver") : driver),
                                 ""}};
        for (const auto& blocker : function.at("blockers").as_array())
            lines.push_back({"blocked: " + string_at(blocker.as_object(), "why"), "bad"});
        add_types(function, lines);
        const int y = bottom_[0];
        const int height = box("function", column_x(0) + pad, y, widths[0] - 2 * pad, lines);
        bottom_[0] = y + height + box_gap;
        const Point out{column_x(0) + widths[0] - pad, y + height / 2};
        from_[address] = out;
        draw_vgpus(function, out, y);
    }

    void draw_vgpus(const json::object& parent, Point out, int y) {
        bottom_[1] = std::max(bottom_[1], y);
        for (const auto& each : parent.at("vgpus").as_array()) {
            const auto& vgpu = each.as_object();
            const auto uuid = string_at(vgpu, "uuid");
            const auto group = number_at(vgpu, "iommu_group");
            const auto node = string_at(vgpu, "node");
            std::vector<Line> lines{{uuid, "head"}};
            if (const auto type = string_at(vgpu, "type"); !type.empty())
                lines.push_back({type, ""});
            if (!group.empty())
                lines.push_back(
                    {"IOMMU group " + group + (node.empty() ? "" : "  " + node), "dim"});
            if (string_at(vgpu, "state") != "present")
                lines.push_back({"removal pending", "bad"});
            const int top = bottom_[1];
            const int height = box("vgpu", column_x(1), top, widths[1], lines);
            bottom_[1] = top + height + box_gap;
            connect(out, {column_x(1), top + height / 2});
            from_[uuid] = {column_x(1) + widths[1], top + height / 2};
        }
    }

    void draw_sandbox(const json::object& sandbox) {
        const int x = column_x(2), top = bottom_[2];
        const auto machine = string_at(sandbox, "machine");
        const auto kept = std::move(boxes_);
        boxes_.clear();
        int y = top + pad + line_height;
        const auto device = [&](const json::object& attachment, const std::string& where) {
            const auto uuid = string_at(attachment, "uuid");
            const auto host = string_at(attachment, "host_address");
            const int height = box("slot", x + pad, y, widths[2] - 2 * pad,
                                   {{where, "head"}, {uuid.empty() ? host : "vGPU " + uuid, ""}});
            to_.emplace_back(uuid.empty() ? host : uuid, Point{x + pad, y + height / 2});
            y += height + 6;
        };
        for (const auto& slot : sandbox.at("slots").as_array())
            for (const auto& each : slot.as_object().at("devices").as_array())
                device(each.as_object(), place_text(each.as_object()));
        for (const auto& each : sandbox.at("unplaced").as_array())
            device(each.as_object(), place_text(each.as_object()));
        const int height = y - top + 2;
        const Line head{string_at(sandbox, "sandbox") + (machine.empty() ? "" : "  " + machine),
                        "head"};
        boxes_ = kept + rect("sandbox", x, top, widths[2], height) +
                 text_at({x + pad, top + pad + 9}, fitted(head, widths[2])) + boxes_;
        bottom_[2] = top + height + box_gap;
    }

    void draw_lines() {
        for (const auto& [device, to] : to_)
            if (const auto from = from_.find(device); from != from_.end())
                connect(from->second, to);
    }

    void connect(Point from, Point to) {
        const auto pair = [](Point p) { return std::to_string(p.x) + " " + std::to_string(p.y); };
        const int bend = column_gap / 2;
        lines_ += "<path class=\"line\" d=\"M" + pair(from) + " C" + pair({from.x + bend, from.y}) +
                  " " + pair({to.x - bend, to.y}) + " " + pair(to) + "\"/>\n";
    }

    int bottom_[3] = {title, title, title};
    std::string groups_, lines_, boxes_;
    std::map<std::string, Point> from_;             ///< by BDF or UUID
    std::vector<std::pair<std::string, Point>> to_; ///< slots, by the device that is in each
};

} // namespace

std::string topology_svg(const json::object& topology) {
    return Drawing(topology).svg();
}

} // namespace kata_vfio::cli
