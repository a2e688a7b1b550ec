#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: where install puts what was built."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import RELEASE, REPOSITORY, sha256, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_install_has_the_walkthroughs_names(self):
        self.set_up()
        self.succeed("build")
        done = self.install()
        self.assertEqual(
            done.stdout.splitlines()[:2],
            [
                f"/usr/share/kata-containers/vmlinux-intel-gpu.container -> vmlinux-{RELEASE}",
                f"/usr/share/kata-containers/vmlinuz-intel-gpu.container -> vmlinuz-{RELEASE}",
            ],
        )
        self.assertEqual(done.stdout.splitlines()[-1], 'kernel = "/usr/share/kata-containers/vmlinuz-intel-gpu.container"')
        for image in ("vmlinux", "vmlinuz"):
            self.assertEqual(os.readlink(self.installed() / f"{image}-intel-gpu.container"), f"{image}-{RELEASE}")
            self.assertEqual(sha256(self.installed() / f"{image}-{RELEASE}"), sha256(self.built(image)))
        self.assertEqual(
            sorted(os.listdir(self.installed())),
            sorted([f"config-{RELEASE}", f"manifest-{RELEASE}.json"] + [f"{i}-{n}" for i in ("vmlinux", "vmlinuz") for n in (RELEASE, "intel-gpu.container")]),
        )

    def test_install_goes_below_another_prefix(self):
        self.set_up()
        self.succeed("build")
        done = self.install("-p", "/opt/kata/")
        into = self.folder / "root/opt/kata/share/kata-containers"
        self.assertEqual(done.stdout.splitlines()[-1], 'kernel = "/opt/kata/share/kata-containers/vmlinuz-intel-gpu.container"')
        self.assertEqual(sha256(into / "vmlinuz-intel-gpu.container"), sha256(self.built("vmlinuz")))
        self.assertEqual(os.listdir(self.folder / "root"), ["opt"])
        # -p alone is a folder of this host's.
        done = self.succeed("-p", self.folder / "prefix", "install")
        into = self.folder / "prefix/share/kata-containers"
        self.assertEqual(done.stdout.splitlines()[-1], f'kernel = "{into}/vmlinuz-intel-gpu.container"')
        self.assertEqual(sha256(into / "vmlinux-intel-gpu.container"), sha256(self.built("vmlinux")))

    def test_readme_and_guide_have_the_commands_and_the_packages(self):
        # What `test/scenarios/guest-kernel fresh` runs on a bare Debian.
        commands = subprocess.check_output([REPOSITORY / "test/scenarios/guest-kernel", "commands"], text=True).splitlines()
        ours = [
            "./build-kernel.sh -g intel -f setup",
            "./build-kernel.sh -g intel build",
            "sudo -E ./build-kernel.sh -g intel install",
            "sudo kata-vfio config set-kernel /usr/share/kata-containers/vmlinuz-intel-gpu.container",
        ]
        self.assertEqual(commands[0], "sudo apt-get update")
        self.assertEqual(commands[3:-1], ours)
        guide = [line.strip() for line in (REPOSITORY / "docs/guest-kernel.md").read_text().splitlines() if line.startswith("    ")]
        self.assertEqual(guide[:4], ours)
        tools = (REPOSITORY / "qemu/guest-kernel/lib/tools.sh").read_text()
        wanted = {package for line in re.findall(r"^\w+=\((.*)\)", tools, re.M) for package in re.findall(r":(\S+)", line)}
        # A Debian has them from the beginning, or gcc brings them.
        wanted -= {"apt", "dpkg", "coreutils", "util-linux", "tar", "gzip", "perl", "binutils"}
        self.assertEqual(set(commands[1].split()[3:]), wanted)

    def test_install_keeps_the_former(self):
        self.set_up()
        self.succeed("build")
        self.install()
        former = sha256(self.built("vmlinux"))
        extra = self.folder / "extra.conf"
        extra.write_text("CONFIG_DEBUG_FS=y\n")
        self.succeed("--fragment", extra, "build")
        self.install("--fragment", extra)
        self.assertEqual(sha256(self.installed() / f"vmlinux-{RELEASE}.former"), former)
        self.assertEqual(sha256(self.installed() / f"vmlinux-{RELEASE}"), sha256(self.built("vmlinux")))
        self.assertFalse([name for name in os.listdir(self.installed()) if name.startswith(".")])

    def test_install_on_a_full_disk_leaves_the_former(self):
        self.set_up()
        self.succeed("build")
        self.install()
        before = {name: sha256(self.installed() / name) for name in os.listdir(self.installed())}
        extra = self.folder / "extra.conf"
        extra.write_text("CONFIG_DEBUG_FS=y\n")
        self.succeed("--fragment", extra, "build")
        self.file_limit = self.built("vmlinux").stat().st_size - 1
        # Configuration and manifest would have had room.
        self.refuse("-d", self.folder / "root", "--fragment", extra, "install", says=["can't write", "what was installed before is as it was"])
        self.assertEqual({name: sha256(self.installed() / name) for name in os.listdir(self.installed())}, before)
        self.file_limit = None
        self.install("--fragment", extra)
        self.assertEqual(sha256(self.installed() / "vmlinux-intel-gpu.container"), sha256(self.built("vmlinux")))

    def test_install_refuses_what_build_did_not_make(self):
        self.set_up()
        self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        with open(self.built("vmlinuz"), "ab") as file:
            file.write(b"x")
        self.refuse("-d", self.folder / "root", "install", says=["is not what build made", "run build again"])
        self.assertFalse(self.installed().exists())

    def test_install_that_can_not_write_says_what_to_do(self):
        self.set_up()
        self.succeed("build")
        (self.folder / "file").write_text("")
        self.refuse("-d", self.folder / "file", "install", says=["can't write", "sudo -E build-kernel.sh -g intel install", "-d or -p"])


if __name__ == "__main__":
    unittest.main()
