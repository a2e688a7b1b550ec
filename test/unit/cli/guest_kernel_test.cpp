// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/guest_kernel.hpp"

#include "command.hpp"
#include "config/base/file.hpp"
#include "kernel_bytes.hpp"
#include "test/fixtures/fake_root/fake_root.hpp"

#include <gmock/gmock.h>

#include <filesystem>

namespace kata_vfio::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct GuestKernelCheck : testing::Test {
    std::string write(const std::string& name, const std::string& bytes) const {
        root.write("/boot/" + name, bytes);
        return root.at("/boot/" + name).string();
    }
    static Done check(const std::string& file) {
        return command({"check", "--guest-kernel", file});
    }
    static std::string without(const std::string& option) {
        auto text = serving_config;
        const auto at = text.find(option + "=");
        return text.erase(at, text.find('\n', at) + 1 - at);
    }

    fake::FakeRoot root;
};

TEST_F(GuestKernelCheck, PassesForImagesAndConfigurations) {
    for (const auto& file :
         {write("vmlinux", elf_image(true, serving_config)),
          write("vmlinuz", bzimage(gzip(elf_image(true, serving_config)), "6.1.192-intel-gpu (k)")),
          write("config", serving_config), write("config.gz", gzip(serving_config))}) {
        const auto done = check(file);
        EXPECT_EQ(done.status, 0) << done.err << done.out;
        EXPECT_THAT(done.out, HasSubstr("A sandbox with a GPU needs of " + file));
        EXPECT_THAT(done.out, HasSubstr("Guest kernel: ready\n"));
    }
}

TEST_F(GuestKernelCheck, EachRequiredOptionIsMissed) {
    for (const auto* option :
         {"CONFIG_DEVTMPFS", "CONFIG_TMPFS", "CONFIG_NAMESPACES", "CONFIG_CGROUPS", "CONFIG_PCI",
          "CONFIG_VIRTIO_PCI", "CONFIG_VIRTIO_VSOCKETS", "CONFIG_9P_FS", "CONFIG_VIRTIO_NET",
          "CONFIG_ACPI", "CONFIG_HOTPLUG_PCI_ACPI", "CONFIG_DRM", "CONFIG_DRM_I915",
          "CONFIG_DRM_I915_USERPTR", "CONFIG_X86_64"}) {
        const auto done = check(write("config", without(option)));
        EXPECT_EQ(done.status, 4) << option;
        EXPECT_THAT(done.out, HasSubstr(option));
        EXPECT_THAT(done.out, HasSubstr("Guest kernel: not ready, 1 failed\n"));
    }
    for (const auto* option : {"CONFIG_OVERLAY_FS", "CONFIG_VIRTIO_BLK", "CONFIG_PVH"})
        EXPECT_EQ(check(write("config", without(option))).status, 0) << option;
}

TEST_F(GuestKernelCheck, AModuleIsNotEnough) {
    const auto done = check(write("config", without("CONFIG_DRM_I915") + "CONFIG_DRM_I915=m\n"));
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.out,
                HasSubstr("CONFIG_DRM_I915=m: a module, and Kata's guest image brings none"));
    EXPECT_THAT(done.out, HasSubstr("-> build the kernel with CONFIG_DRM_I915=y"));
}

TEST_F(GuestKernelCheck, OneOfSeveralIsEnough) {
    EXPECT_EQ(check(write("config", without("CONFIG_9P_FS") + "CONFIG_VIRTIO_FS=y\n")).status, 0);
    EXPECT_EQ(
        check(write("config", without("CONFIG_VIRTIO_VSOCKETS") + "CONFIG_VIRTIO_CONSOLE=y\n"))
            .status,
        0);
    EXPECT_THAT(check(write("config", without("CONFIG_9P_FS"))).out,
                HasSubstr("CONFIG_VIRTIO_FS and CONFIG_9P_FS are not set ("));
}

TEST_F(GuestKernelCheck, VmlinuxNeedsThePvhNoteAndVmlinuzDoesNot) {
    const auto elf = check(write("vmlinux", elf_image(false, serving_config)));
    EXPECT_EQ(elf.status, 4);
    EXPECT_THAT(elf.out, HasSubstr("the image has no PVH note"));
    EXPECT_EQ(
        check(write("vmlinuz", bzimage(gzip(elf_image(false, serving_config)), "6.1"))).status, 0);
}

TEST_F(GuestKernelCheck, TheConfigurationBesideAnImageIsFound) {
    const std::string xz("\xfd"
                         "7zXZ\0....",
                         10);
    const auto file = write("vmlinuz-6.1.0-1-amd64", bzimage(xz, "6.1.0-1-amd64 (debian)"));
    const auto alone = check(file);
    EXPECT_EQ(alone.status, 4);
    EXPECT_THAT(alone.out, HasSubstr("compressed with xz, which is not looked into; and no "));
    EXPECT_THAT(alone.out, HasSubstr("unknown\n"));
    EXPECT_THAT(alone.out, HasSubstr("-> name its .config: kata-vfio check --guest-kernel CONFIG"));
    const auto config = write("config-6.1.0-1-amd64", serving_config);
    EXPECT_EQ(check(file).status, 0);
    EXPECT_THAT(check(file).out, HasSubstr(" (its options are from " + config + ")\n"));
    // By a link, as Kata's names are, and by the image's own word under another name.
    std::filesystem::create_symlink("vmlinuz-6.1.0-1-amd64", root.at("/boot/vmlinuz.container"));
    EXPECT_EQ(check(root.at("/boot/vmlinuz.container").string()).status, 0);
    EXPECT_EQ(check(write("kernel", bzimage(xz, "6.1.0-1-amd64 (debian)"))).status, 0);
}

TEST_F(GuestKernelCheck, AReleaseThatIsAPathIsNotFollowed) {
    root.write("/boot/config-/here", "");
    root.write("/boot/etc/config-x", serving_config);
    const std::string xz("\xfd"
                         "7zXZ\0....",
                         10);
    EXPECT_EQ(check(write("kernel", bzimage(xz, "/../etc/config-x"))).status, 4);
}

TEST_F(GuestKernelCheck, WhatIsNoKernelIsRefused) {
    EXPECT_THAT(check(root.at("/boot/none").string()).err, HasSubstr("/boot/none is not there"));
    const auto text = write("text", "hello\n");
    const auto done = check(text);
    EXPECT_EQ(done.status, 4);
    EXPECT_THAT(done.err, HasSubstr(text + ": neither an x86 kernel image (bzImage, or ELF)"));
    EXPECT_EQ(command({"check", "--guest-kernel="}).status, 2);
}

TEST_F(GuestKernelCheck, Json) {
    const auto file = write("vmlinuz", bzimage(gzip(elf_image(true, serving_config)), "6.1 (k)"));
    const auto json = command({"check", "--guest-kernel", file, "--json"}).json();
    const auto& kernel = json.at("guest_kernel").as_object();
    EXPECT_EQ(kernel.at("file"), boost::json::string(file));
    EXPECT_EQ(kernel.at("kind"), "bzimage");
    EXPECT_EQ(kernel.at("version"), "6.1 (k)");
    EXPECT_EQ(kernel.at("config"), "the image");
    EXPECT_EQ(kernel.at("ready"), true);
    EXPECT_EQ(json.at("checks").at(1).at("id"), "guest_kernel.CONFIG_PVH");
    EXPECT_EQ(json.at("checks").at(1).at("verdict"), "pass");
}

struct SetKernel : GuestKernelCheck {
    static constexpr auto image = "/usr/share/kata-containers/vmlinuz-intel-gpu.container";
    static constexpr auto config = "/etc/kata-containers/configuration.toml";

    SetKernel() {
        ::unsetenv("KATA_CONF_FILE");
        root.write(image, bzimage(gzip(elf_image(true, serving_config)), "6.1 (k)"));
        root.write(config, stock);
    }
    Done set(std::vector<std::string> args) const {
        args.insert(args.begin(), {"--root", root.path().string(), "config", "set-kernel"});
        return command(args);
    }

    const std::string stock = "[hypervisor.qemu]\nkernel = \"/old\" # the guest's\n"
                              "machine_type = \"pc\"\n";
};

TEST_F(SetKernel, ChangesTheOneValue) {
    const auto done = set({image});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    EXPECT_THAT(done.out, HasSubstr(std::string("configuration.toml:2:10: kernel = \"") + image +
                                    "\" (had another value)\n"));
    EXPECT_EQ(root.read(config), "[hypervisor.qemu]\nkernel = \"" + std::string(image) +
                                     "\" # the guest's\nmachine_type = \"pc\"\n");
    const auto again = set({image, "--json"}).json();
    EXPECT_EQ(again.at("edit"), "none");
    EXPECT_EQ(again.at("line"), 2);
    EXPECT_EQ(again.at("kernel"), image);
    EXPECT_EQ(again.at("in_force"), image);
}

TEST_F(SetKernel, RefusesWhatIsNoKernelAndTouchesNothing) {
    EXPECT_THAT(set({"vmlinuz"}).err, HasSubstr("'vmlinuz' is no absolute path"));
    EXPECT_EQ(set({"vmlinuz"}).status, 2);
    EXPECT_THAT(set({"/none"}).err, HasSubstr("/none is not there"));
    EXPECT_EQ(set({"/none"}).status, 4);
    EXPECT_EQ(root.read(config), stock);
}

TEST_F(SetKernel, WarnsOfAKernelThatCantServe) {
    root.write(image, bzimage(gzip(elf_image(true, without("CONFIG_DRM"))), "6.1 (k)"));
    const auto done = set({image});
    EXPECT_EQ(done.status, 0);
    EXPECT_THAT(done.err, HasSubstr("warning: this kernel does not pass for: DRM ("));
}

TEST_F(SetKernel, NamesTheDropInThatHasTheLastWord) {
    root.write("/etc/kata-containers/config.d/kernel",
               "[hypervisor.qemu]\nkernel = \"/elsewhere\"\n");
    const auto done = set({image});
    EXPECT_EQ(done.status, 3);
    EXPECT_THAT(done.out, HasSubstr("configuration.toml:2:10: "));
    EXPECT_THAT(done.err,
                HasSubstr("config.d/kernel:2:10: kernel = \"/elsewhere\" has the last word"));
    EXPECT_THAT(root.read(config), HasSubstr(image));
}

} // namespace
} // namespace kata_vfio::cli
