#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: what build proves of the kernel that it made."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_gpu_is_known_by_an_alias(self):
        self.set_up()
        # The table of devices alone would be refused.
        words = {"STUB_GPU": "0x1617", "STUB_ALIASES": "pci:v00008086d00001602sv*sd*bc03sc*i* pci:v00008086d00001616sv*sd*bc03sc*i*"}
        self.assertIn("i915 is built in, and its aliases have 8086:1616", self.succeed("build", **words).stderr)
        words["STUB_ALIASES"] = words["STUB_ALIASES"].split()[0]
        self.refuse("build", says=["the built-in i915 does not know 8086:1616: neither modules.builtin.modinfo nor"], **words)

    def test_kernel_without_i915_is_refused(self):
        fragments = self.fragments_without("CONFIG_DRM_I915=y", "CONFIG_DRM_I915_USERPTR=y")
        self.environment["KATA_VFIO_GUEST_KERNEL_FRAGMENTS"] = str(fragments)
        self.set_up()
        self.refuse("build", says=[f"i915 is not built in: it is not in {self.built('modules.builtin.modinfo')}"])
        self.refuse("install", says=["nothing is built"])

    def test_kernel_that_calls_itself_otherwise_is_refused(self):
        self.set_up()
        self.built("localversion-mine").write_text("-mine\n")
        self.refuse(
            "build",
            says=["the kernel calls itself 6.1.192-mine-intel-gpu, and must be 6.1.192-intel-gpu: a file localversion* in"],
        )
        self.refuse("install", says=["nothing is built"])
        self.built("localversion-mine").unlink()
        self.succeed("build")

    def test_image_that_make_did_not_make_is_said(self):
        self.set_up()
        makefile = self.source / "Makefile"
        makefile.write_text(makefile.read_text().replace("@python3 -I $(src)/tools/link.py", "@true"))
        self.set_up("-f")
        self.refuse("build", says=["make ended well, but", "bzImage is not there"])

    def test_jobs_are_makes(self):
        self.set_up()
        makefile = self.source / "Makefile"
        makefile.write_text(makefile.read_text().replace("bzImage:\n", "bzImage:\n\t@echo '  FLAGS   $(MAKEFLAGS)'\n"))
        self.set_up("-f")
        for words in (("-j", "3"), ("-j3",)):
            self.succeed(*words, "build")
            self.assertRegex(self.built("build.log").read_text(), r"FLAGS .*-j3\b")


if __name__ == "__main__":
    unittest.main()
