#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: which of several build trees a verb means, and which it leaves alone."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import CONFIG_VERSION, RELEASE, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def current(self):
        return os.readlink(self.work / "build/intel-gpu.current")

    def test_version_is_that_one_and_no_other_that_begins_like_it(self):
        old = self.set_up_version("6.1.192")
        new = self.set_up_version("6.12.19")
        # By the link it would be 6.12.19.
        for version in ("6.1", "6.1.192", "6.1.192-2"):
            self.assertIn(str(old), self.succeed("-v", version, "build").stderr)
        self.assertTrue((old / "vmlinux").exists())
        self.assertFalse((new / "vmlinux").exists())
        done = self.install("-v", "6.1")
        self.assertIn(f"vmlinux-intel-gpu.container -> vmlinux-{RELEASE}", done.stdout)
        for version in ("6", "6.1.19", "6.1.1", "6x1", "6.12.1"):
            self.refuse("-v", version, "build", status=2 if version in ("6", "6x1") else 1)
        self.succeed("-v", "6.1", "clean")
        self.assertFalse(old.exists())
        self.assertTrue(new.exists())
        self.refuse("-v", "6.1", "clean", says=["there is no tree of 6.1 in"])
        self.succeed("-v", "6.12", "build")
        self.assertTrue((new / "vmlinux").exists())

    def test_version_of_several_trees_is_to_be_said_in_full(self):
        for version in ("6.1.190", "6.1.192"):
            self.set_up_version(version)
        self.refuse("-v", "6.1", "build", says=[f"-v 6.1 means several trees, say which: 6.1.190-{CONFIG_VERSION}-intel-gpu {RELEASE}"])
        self.assertIn("6.1.190", self.succeed("-v", "6.1.190", "build").stderr)

    def test_version_and_type_go_together(self):
        plain = self.set_up_version("6.1.192")
        self.set_up_version("6.1.192", "-t", "debug")
        self.succeed("-v", "6.1", "-t", "debug", "clean")
        self.assertTrue(plain.exists())
        self.refuse("-v", "6.1", "-t", "debug", "build", says=["-g intel -v 6.1 -t debug setup first"])
        self.succeed("-v", "6.1", "build")

    def test_clean_of_another_version_leaves_the_current_one(self):
        self.set_up_version("6.12.19")
        self.set_up_version("6.1.192")
        self.succeed("-v", "6.12", "clean")
        self.assertEqual(self.current(), RELEASE)
        self.succeed("build")
        self.succeed("-v", "6.1", "clean")
        self.assertFalse(os.path.lexists(self.work / "build/intel-gpu.current"))

    def test_tree_of_a_former_configuration_is_not_gone_on_with(self):
        self.set_up()
        self.succeed("build")
        self.raise_config_version()
        for verb in ("build", "install", "config", "check"):
            self.refuse("-d", self.folder / "root", verb, says=[f"is set up for configuration {CONFIG_VERSION}, and the fragments are", "-g intel setup"])
        self.assertFalse(self.installed().exists())
        self.set_up()
        self.succeed("build")
        self.assertIn(f"6.1.192-{int(CONFIG_VERSION) + 1}-intel-gpu", self.install().stdout)

    def test_clean_removes_a_tree_of_a_former_configuration(self):
        self.set_up()
        self.raise_config_version()
        self.succeed("clean")
        self.assertEqual(os.listdir(self.work / "build"), [])


if __name__ == "__main__":
    unittest.main()
