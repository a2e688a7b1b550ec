// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/guest_kernel.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/check/check.hpp"
#include "runtime-plugin/cli/named_file.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

// A distribution's vmlinux with debug information would be larger; nobody boots that.
constexpr std::size_t most_bytes = std::size_t{512} << 20;

constexpr auto name_a_kernel =
    "name an x86-64 kernel image (vmlinuz, bzImage, vmlinux) or a kernel's .config; "
    "qemu/guest-kernel/build-kernel.sh builds one";

bool looks_like_config(std::string_view text) {
    return text.find('\0') == std::string_view::npos && !KernelConfig::parse(text).empty();
}

/// The names under which distributions and build-kernel.sh put the configuration beside an image.
std::vector<fs::path> beside(const fs::path& image, const std::string& version) {
    std::vector<fs::path> found;
    const auto real = fs::weakly_canonical(image);
    const auto name = real.filename().string();
    for (const std::string_view prefix : {"vmlinuz-", "vmlinux-", "bzImage-"})
        if (name.starts_with(prefix))
            found.push_back(real.parent_path() / ("config-" + name.substr(prefix.size())));
    const auto release = version.substr(0, version.find(' '));
    // It is the image's own word, and is to be a file name.
    if (!release.empty() && release.find('/') == std::string::npos)
        found.push_back(real.parent_path() / ("config-" + release));
    return found;
}

void find_config(GuestKernel& kernel, const fs::path& file) {
    auto& image = *kernel.image;
    if (image.config) {
        kernel.config = KernelConfig::parse(*image.config);
        kernel.config_source = "the image";
        return;
    }
    std::vector<std::string> tried;
    for (const auto& path : beside(file, image.version)) {
        if (const auto text = read_file(path)) {
            kernel.config = KernelConfig::parse(*text);
            kernel.config_source = path.string();
            return;
        }
        tried.push_back(path.string());
    }
    kernel.config_source = "no configuration in the image: " + image.config_missing +
                           (tried.empty() ? "" : "; and no " + join_words(tried, " or "));
}

} // namespace

GuestKernel read_guest_kernel(const fs::path& file) {
    GuestKernel kernel;
    kernel.file = file.string();
    const auto bytes = read_named_file(file, "a kernel", most_bytes, name_a_kernel);
    try {
        const auto text = bytes.starts_with("\x1f\x8b") ? gunzip(bytes) : bytes;
        if (looks_like_config(text)) {
            kernel.config = KernelConfig::parse(text);
            kernel.config_source = kernel.file;
            return kernel;
        }
        kernel.image = parse_kernel_image(text);
    } catch (Failure& failure) {
        if (failure.advice().empty())
            failure.remedy(name_a_kernel);
        throw failure.during(kernel.file);
    }
    find_config(kernel, file);
    return kernel;
}

json::object guest_kernel_json(const GuestKernel& kernel, const std::vector<Requirement>& lines) {
    json::array rows;
    for (const auto& line : lines)
        rows.push_back(json::object{{"id", line.id},
                                    {"title", line.title},
                                    {"required", line.required},
                                    {"verdict", name(line.verdict)},
                                    {"detail", line.detail},
                                    {"fix", line.fix}});
    const auto kind = !kernel.image                                      ? "config"
                      : kernel.image->kind == KernelImage::Kind::bzimage ? "bzimage"
                                                                         : "elf";
    return {{"guest_kernel", json::object{{"file", kernel.file},
                                          {"kind", kind},
                                          {"version", kernel.image ? kernel.image->version : ""},
                                          {"config", kernel.config ? kernel.config_source : ""},
                                          {"ready", serves(lines)}}},
            {"checks", std::move(rows)}};
}

int check_guest_kernel(const Arguments& arguments, Io& io) {
    const auto kernel = read_guest_kernel(arguments.guest_kernel);
    const auto lines = guest_kernel_requirements(kernel);
    if (arguments.json) {
        io.out << json::serialize(guest_kernel_json(kernel, lines)) << '\n';
    } else {
        io.out << requirements_text(
                      lines, Needs::both,
                      "A sandbox with a GPU needs of " + kernel.file +
                          (kernel.config && kernel.image
                               ? " (its options are from " + kernel.config_source + ")"
                               : ""),
                      io.colour)
               << '\n'
               << requirements_summary(lines, Needs::both, "Guest kernel");
    }
    return serves(lines) ? 0 : exit_status(Errc::host_io);
}

} // namespace kata_vfio::cli
