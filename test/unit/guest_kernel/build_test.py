#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: what build makes, and goes on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import FRAGMENTS, SCRIPT, sha256, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def test_build_makes_images_and_manifest(self):
        self.set_up()
        done = self.succeed("build")
        self.assertIn("i915 is built in, and its table of devices has 8086:1616", done.stderr)
        manifest = json.loads(self.built("manifest.json").read_text())
        self.assertEqual(manifest["uname"], "6.1.192-intel-gpu")
        self.assertEqual(manifest["source"], {"origin": "the tree linux", "sha256": self.tree_sum()})
        self.assertEqual(manifest["options"]["CONFIG_DRM_I915"], "y")
        self.assertEqual(manifest["fragments"]["gpu-intel.conf"], sha256(FRAGMENTS / "gpu-intel.conf"))
        for name in ("vmlinuz", "vmlinux"):
            self.assertEqual(manifest["sha256"][name], sha256(self.built(name)))
        self.assertEqual(manifest["sha256"]["config"], sha256(self.built(".config")))

    def test_driver_that_does_not_know_the_walkthroughs_gpu_is_refused(self):
        self.set_up()
        self.refuse("build", says=["the built-in i915 does not know 8086:1616"], STUB_GPU="0x1617")
        self.refuse("install", says=["nothing is built"])

    def test_same_input_gives_the_same_bytes(self):
        made = []
        for work in ("one", "two"):
            self.work = self.folder / work
            self.set_up()
            self.succeed("build")
            made.append([self.built(name).read_bytes() for name in ("vmlinuz", "vmlinux", "manifest.json")])
        self.assertEqual(made[0], made[1])

    def test_build_goes_on_after_a_change_of_fragments(self):
        self.set_up()
        self.succeed("build")
        before = {name: (self.built(name).read_bytes(), self.built(name).stat().st_mtime_ns) for name in ("vmlinux", "vmlinuz", ".config")}
        self.succeed("build")
        for name, was in before.items():
            self.assertEqual((self.built(name).read_bytes(), self.built(name).stat().st_mtime_ns), was, name)
        extra = self.folder / "extra.conf"
        extra.write_text("CONFIG_DEBUG_FS=y\n")
        done = self.succeed("--fragment", extra, "build")
        self.assertIn("the fragments changed: making the .config again", done.stderr)
        self.assertIn("CONFIG_DEBUG_FS=y\n", self.built(".config").read_text())
        self.assertNotEqual(self.built("vmlinux").read_bytes(), before["vmlinux"][0])
        # Taken away again, it is what it was.
        self.succeed("build")
        self.assertEqual(self.built("vmlinux").read_bytes(), before["vmlinux"][0])

    def test_config_shows_what_changed(self):
        self.set_up()
        done = self.succeed("config")
        self.assertEqual(done.stdout, f"{self.built('.config')}\n")
        self.assertIn("nothing changed", done.stderr)
        extra = self.folder / "extra.conf"
        extra.write_text("CONFIG_DEBUG_FS=y\n")
        self.assertIn("> CONFIG_DEBUG_FS=y", self.succeed("--fragment", extra, "config").stderr)

    def test_config_edited_by_hand_is_not_built(self):
        self.set_up()
        with open(self.built(".config"), "a") as file:
            file.write("CONFIG_SNEAKED_IN=y\n")
        self.assertIn("was changed by hand", self.succeed("build").stderr)
        self.assertNotIn("SNEAKED_IN", self.built(".config").read_text())

    def test_interrupted_build_goes_on(self):
        self.set_up()
        gate = self.folder / "gate"
        os.mkfifo(gate)
        process = subprocess.Popen(
            [SCRIPT, "-g", "intel", "-w", self.work, "build"],
            env={**self.environment, "STUB_GATE": str(gate)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # Returns when the build reads from the gate, which is never written to.
        with open(gate, "w"):
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=240)
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("build goes on from here", said)
        self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        self.assertTrue(self.built("manifest.json").exists())

    def test_failed_build_shows_the_error(self):
        self.set_up()
        shutil.rmtree(self.built("arch"), ignore_errors=True)
        self.built("arch").write_text("in the way")
        done = self.refuse("build", says=["make failed", "build.log", "Error 1"])
        self.assertIn("build goes on from here", done.stderr)

    def test_clean_removes_the_tree_and_not_a_given_source(self):
        self.set_up()
        self.succeed("-f", "clean")
        self.assertFalse(self.built(".config").exists())
        self.assertTrue((self.source / "Makefile").exists())
        self.refuse("build", says=["setup first"])


if __name__ == "__main__":
    unittest.main()
