#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: what is refused, and with which words."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import sha256, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_missing_tool_is_named_with_its_package(self):
        path = self.folder / "bin"
        path.mkdir()
        for folder in ("/usr/bin", "/bin", "/usr/sbin"):
            for tool in os.listdir(folder):
                if tool not in ("flex", "bc") and not (path / tool).exists():
                    (path / tool).symlink_to(f"{folder}/{tool}")
        self.refuse(*self.setup_words(), "setup", says=["not installed: bc flex. Install them: sudo apt-get install bc flex"], PATH=str(path))

    def test_missing_header_is_named_with_its_package(self):
        path = self.folder / "bin"
        path.mkdir()
        # A gcc without that header, which reads what it is to compile from its input.
        (path / "gcc").write_text("#!/bin/sh\n! grep -q gelf.h\n")
        (path / "gcc").chmod(0o755)
        self.refuse(
            *self.setup_words(), "setup", says=["not installed: gelf.h. Install them: sudo apt-get install libelf-dev"],
            PATH=f"{path}:{os.environ['PATH']}",
        )

    def test_wrong_and_truncated_tarballs_are_refused(self):
        tarball = self.tarball()
        right = sha256(tarball)
        self.assertIn("from the tarball linux.tar.xz", self.succeed("--source", tarball, "--sha256", right, "setup").stderr)
        self.refuse("--source", tarball, "--sha256", "0" * 64, "setup", says=["is not what --sha256 says", right])
        cut = self.folder / "cut.tar.xz"
        cut.write_bytes(tarball.read_bytes()[:-100])
        self.refuse("--source", cut, "--sha256", right, "setup", says=["truncated"])
        # The sum is right, the bytes are not.
        self.refuse("--source", cut, "--sha256", sha256(cut), "setup", says=["can't be unpacked"])
        other = self.folder / "other.tar"
        subprocess.run(["tar", "-C", self.folder, "-cf", other, "cut.tar.xz"], check=True)
        self.refuse("--source", other, "--sha256", sha256(other), "setup", says=["is no Linux source"])

    def test_dirty_and_changed_sources_are_refused(self):
        words = self.setup_words()
        with open(self.source / "Makefile", "a") as file:
            file.write("# changed\n")
        self.refuse(*words, "setup", says=["is not what --sha256 says (changed?)", self.tree_sum()])
        self.set_up()
        (self.source / "Kconfig").write_text((self.source / "Kconfig").read_text())
        self.refuse("build", says=["the source was changed after it was proved", "Kconfig"])
        (self.source / ".config").write_text("")
        self.refuse(*words, "setup", says=["was built in (.config is there)", "make mrproper"])

    def test_unpacked_source_that_was_changed_is_refused(self):
        tarball = self.tarball()
        words = ("--source", tarball, "--sha256", sha256(tarball), "setup")
        self.succeed(*words)
        unpacked = next((self.work / "source").glob("tarball-*/Kconfig"))
        with open(unpacked, "a") as file:
            file.write("# changed\n")
        self.refuse("build", says=["was changed after it was proved", "setup -f unpacks it again"])
        self.assertIn("unpacking it again", self.succeed("-f", *words).stderr)
        self.succeed("build")

    def test_another_source_needs_f(self):
        self.set_up()
        (self.source / "README").write_text("another one\n")
        self.refuse(*self.setup_words(), "setup", says=["is set up from the tree linux, not from the tree linux: -f begins again"])
        self.set_up("-f")
        self.assertIn("is set up already", self.set_up().stderr)

    def test_no_space_is_said_before_anything_is_begun(self):
        self.refuse(*self.setup_words(), "setup", says=["MB free", "needs 999999999 MB", "-w"], KATA_VFIO_GUEST_KERNEL_NEEDS_MB="999999999")
        self.assertFalse(self.built("setup.env").exists())

    def test_no_space_to_build_or_install_is_said(self):
        self.set_up()
        full = {"KATA_VFIO_GUEST_KERNEL_NEEDS_MB": "999999999"}
        self.refuse("build", says=[f"{self.work} has ", "MB free, the build needs 999999999 MB", "-w"], **full)
        self.assertFalse(self.built("vmlinux").exists())
        self.succeed("build")
        self.refuse("-d", self.folder / "root", "install", says=[f"{self.installed()} has ", "MB free, the kernel needs 999999999 MB"], **full)
        self.assertEqual(os.listdir(self.installed()), [])

    def test_full_disk_while_unpacking_is_said_and_gone_on_from(self):
        (self.source / "large").write_bytes(os.urandom(1 << 20))
        tarball = self.tarball()
        words = ("--source", tarball, "--sha256", sha256(tarball), "setup")
        self.file_limit = 1 << 19
        self.refuse(*words, says=["can't be unpacked (above)", "or the disk is full ("])
        self.assertFalse(self.built("setup.env").exists())
        self.file_limit = None
        self.succeed(*words)

    def test_wrong_usage(self):
        for words, text in (
            ((), "no verb"),
            (("boil",), "there is no verb 'boil'"),
            (("-g", "nvidia", "setup"), "only intel is built here"),
            (("-a", "arm64", "setup"), "only x86_64"),
            (("-t", "release", "setup"), "the only build type is debug"),
            (("-v", "../x", "setup"), "no kernel version"),
            (("-j", "0", "build"), "a number from 1"),
            (("-p", "usr", "install"), "must be an absolute path"),
            (("-q", "build"), "there is no option -q"),
            (("build", "-d"), "-d wants a value"),
            (("--source", "x", "setup"), "give its --sha256 too"),
            (("--source", "x", "--sha256", "12", "setup"), "64 hexadecimal digits"),
            (("build", "more"), "build takes nothing more: more"),
        ):
            self.refuse(*words, status=2, says=[text])

    def test_verbs_before_setup(self):
        for verb in ("build", "install", "config", "check", "clean"):
            self.refuse(verb, says=["run build-kernel.sh -g intel setup first"])
        self.refuse("-v", "5.10", "build", says=["there is no tree of 5.10", "-v 5.10 setup first"])

    def test_work_folder_that_make_can_not_have(self):
        self.work = self.folder / "with space"
        self.refuse(*self.setup_words(), "setup", says=["has white space or a colon in its name"])

    def test_work_folder_that_can_not_be_written(self):
        # Root may write everywhere, but not below a file.
        (self.folder / "file").write_text("")
        self.work = self.folder / "file/work"
        self.refuse(*self.setup_words(), "setup", says=[f"can't write the work folder {self.work}: give one you own with -w"])


if __name__ == "__main__":
    unittest.main()
