#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: fragments, merged into a .config."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import stub_tree  # noqa: E402
from workshop import FRAGMENTS, RELEASE, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_fragments_all_make_the_config(self):
        done = self.set_up()
        config = self.built(".config").read_text().splitlines()
        for fragment in FRAGMENTS.glob("*.conf"):
            if fragment.name == "debug.conf":
                continue
            for line in fragment.read_text().splitlines():
                if line.startswith("CONFIG_"):
                    self.assertIn(line, config, fragment.name)
        self.assertIn('CONFIG_LOCALVERSION="-intel-gpu"', config)
        self.assertIn(RELEASE, done.stderr)
        for option in ("DRM", "DRM_I915", "DRM_I915_USERPTR"):
            self.assertIn(f"CONFIG_{option}=y", config)

    def test_fragments_each_say_what_they_are_for(self):
        for fragment in FRAGMENTS.glob("*.conf"):
            lines = fragment.read_text().splitlines()
            self.assertEqual(lines[0], "# SPDX-License-Identifier: Apache-2.0", fragment.name)
            self.assertRegex(lines[1], r"^# [A-Z]", fragment.name)
        requested = {f"CONFIG_{name}" for name in stub_tree.options_of(FRAGMENTS)}
        for line in (FRAGMENTS / "optional.txt").read_text().splitlines():
            if not line.startswith("#"):
                names, _, reason = line.partition(" ")
                self.assertLessEqual(set(names.split("|")), requested)
                self.assertGreater(len(reason.strip()), 10, names)

    def test_fragments_that_contradict_are_refused(self):
        extra = self.folder / "extra.conf"
        extra.write_text("# CONFIG_DRM_I915 is not set\nwhat is this\n")
        self.refuse(
            *self.setup_words(),
            "--fragment",
            extra,
            "setup",
            says=[
                f"{extra}:1: CONFIG_DRM_I915=n, but {FRAGMENTS}/gpu-intel.conf:",
                f"{extra}:2: neither an option nor a comment: what is this",
            ],
        )

    def test_kernels_own_scripts_that_fail_are_said(self):
        for name, text, last in (
            ("STUB_MERGE_FAILS", "the kernel's merge_config.sh failed", "The merge file is not there."),
            ("STUB_CONFIG_FAILS", "make allnoconfig failed", "Kconfig:1: syntax error"),
        ):
            self.refuse(*self.setup_words(), "setup", says=[last, f"{text} (above; all of it: {self.built('merge.log')})"], **{name: "yes"})
            self.assertIn(last, self.built("merge.log").read_text())
            self.refuse("build", says=["-g intel setup first"])
        self.set_up()

    def test_debug_type_has_a_name_of_its_own(self):
        self.set_up("-t", "debug")
        config = (self.work / "build" / f"{RELEASE}-debug/.config").read_text()
        self.assertIn("CONFIG_KALLSYMS_ALL=y\n", config)
        self.assertIn('CONFIG_LOCALVERSION="-intel-gpu-debug"\n', config)

    def test_renamed_option_is_named_with_what_is_like_it(self):
        (self.source / "drivers/gpu/drm/i915/Kconfig").write_text("config DRM_XE_USERPTR\n\tbool\n")
        done = self.refuse(
            *self.setup_words(),
            "setup",
            says=[
                "CONFIG_DRM_I915_USERPTR=y (fragments/gpu-intel.conf:",
                "Linux 6.1.192 has no such option: renamed or dropped; it has CONFIG_DRM_XE_USERPTR",
                "1 of the options asked for did not make the final .config",
            ],
        )
        self.assertNotIn("CONFIG_DRM=y", done.stderr)
        self.refuse("build", says=["run build-kernel.sh -g intel setup first"])
        # The user's own risk.
        self.assertIn("going on without 1 of the options", self.set_up("-s").stderr)

    def test_missing_dependency_is_named(self):
        kconfig = self.source / "Kconfig"
        text = kconfig.read_text().replace('config DRM_BOCHS\n\tbool "DRM_BOCHS"\n', 'if NEEDED\nconfig DRM_BOCHS\n\tbool "DRM_BOCHS"\n\tdepends on DRM && \\\n\t\tALSO_NEEDED\nendif\n')
        kconfig.write_text(text)
        self.refuse(
            *self.setup_words(),
            "setup",
            says=[
                "CONFIG_DRM_BOCHS=y (fragments/gpu-lab.conf:",
                "is not set in the final .config: depends on (DRM && ALSO_NEEDED) && (NEEDED), of which not set: CONFIG_ALSO_NEEDED CONFIG_NEEDED (Kconfig:",
            ],
        )

    def test_option_without_a_prompt_is_said_to_be_one(self):
        kconfig = self.source / "Kconfig"
        kconfig.write_text(kconfig.read_text().replace('config DRM_BOCHS\n\tbool "DRM_BOCHS"\n', "config DRM_BOCHS\n\tbool\n\tdepends on GONE\n"))
        self.refuse(*self.setup_words(), "setup", says=["of which not set: CONFIG_GONE, and only others can select it (it has no prompt) (Kconfig:"])

    def test_optional_option_may_be_missing(self):
        kconfig = self.source / "Kconfig"
        kconfig.write_text(kconfig.read_text().replace("config MITIGATION_ITS\n", "config SOMETHING\n"))
        self.assertIn("left out: CONFIG_MITIGATION_ITS (came with", self.set_up().stderr)

    def test_optional_option_under_another_name_is_asked_for_by_it(self):
        kconfig = self.source / "Kconfig"
        was = kconfig.read_text()
        kconfig.write_text(was.replace("config RETPOLINE\n", "config SOMETHING\n"))
        self.assertNotIn("left out", self.set_up().stderr)
        config = self.built(".config").read_text()
        self.assertIn("CONFIG_MITIGATION_RETPOLINE=y\n", config)
        self.assertNotIn("CONFIG_RETPOLINE=y\n", config)
        # Under neither name: not silently.
        kconfig.write_text(was.replace("config RETPOLINE\n", "config SOMETHING\n").replace("config MITIGATION_RETPOLINE\n", "config MORE\n"))
        self.assertIn("left out: CONFIG_RETPOLINE (named CONFIG_MITIGATION_... from 6.9 on)", self.set_up("-f").stderr)

    def test_mitigation_that_no_fragment_names_is_not_left_off(self):
        with open(self.source / "Kconfig", "a") as kconfig:
            kconfig.write('config MITIGATION_NEW\n\tbool "MITIGATION_NEW"\n')
        self.refuse(*self.setup_words(), "setup", says=["CONFIG_MITIGATION_NEW is off in the final .config, and no fragment names it"])
        extra = self.folder / "extra.conf"
        for line in ("CONFIG_MITIGATION_NEW=y\n", "# CONFIG_MITIGATION_NEW is not set\n"):
            extra.write_text(line)
            self.set_up("-f", "--fragment", extra)
            self.assertIn(line, self.built(".config").read_text())

    def test_optional_option_that_the_kernel_has_must_make_the_config(self):
        kconfig = self.source / "Kconfig"
        text = kconfig.read_text()
        for name in ("RETPOLINE", "MITIGATION_RETPOLINE"):
            text = text.replace(f'config {name}\n\tbool "{name}"\n', f'config {name}\n\tbool "{name}"\n\tdepends on GONE\n')
        kconfig.write_text(text)
        self.refuse(*self.setup_words(), "setup", says=["CONFIG_MITIGATION_RETPOLINE=y (fragments/base.conf:", "of which not set: CONFIG_GONE"])


if __name__ == "__main__":
    unittest.main()
