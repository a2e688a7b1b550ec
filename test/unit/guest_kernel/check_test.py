#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: check of what was built, installed or somebody else's."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_check_passes_for_image_vmlinux_and_config(self):
        self.set_up()
        self.succeed("build")
        self.install()
        for file in (None, self.installed() / "vmlinuz-intel-gpu.container", self.built("vmlinux"), self.built(".config")):
            done = self.succeed("check", *([file] if file else []))
            self.assertIn("Guest kernel: ready", done.stdout)
        self.assertIn("the image has the PVH note", self.succeed("check", self.built("vmlinux")).stdout)

    def test_check_names_what_is_missing(self):
        config = self.folder / "config-other"
        config.write_text("CONFIG_X86_64=y\nCONFIG_DRM=y\nCONFIG_DRM_I915=m\n")
        done = self.run_script("check", config)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("CONFIG_DRM_I915=m: a module, and Kata's guest image brings none", done.stdout)
        self.assertIn("CONFIG_HOTPLUG_PCI_ACPI is not set", done.stdout)
        self.assertIn("Guest kernel: not ready", done.stdout)

    def test_check_without_the_command_says_where_it_is(self):
        self.refuse("check", self.source / "Makefile", says=["check is kata-vfio's", "KATA_VFIO_BIN"], KATA_VFIO_BIN="/nowhere")


if __name__ == "__main__":
    unittest.main()
