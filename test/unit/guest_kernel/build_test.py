#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: what build makes, and goes on with."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import FRAGMENTS, sha256, Workshop  # noqa: E402


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

    def start_build(self, stderr=subprocess.PIPE):
        """A build that reads from a gate in its midst, and the gate."""
        gate = self.gate()
        return self.start("build", stderr=stderr, STUB_GATE=str(gate)), gate

    def test_interrupted_build_goes_on(self):
        self.set_up()
        process, gate = self.start_build()
        # Returns when the build reads from the gate, which is never written to.
        with open(gate, "w"):
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=240)
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("build goes on from here", said)
        self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        self.assertTrue(self.built("manifest.json").exists())

    def test_killed_build_goes_on(self):
        self.set_up()
        # What an earlier build made is not what the one that was killed would have made.
        self.succeed("build")
        process, gate = self.start_build()
        with open(gate, "w"):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=240)
        self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        self.install()

    def test_what_a_killed_build_left_half_written_is_made_again(self):
        self.set_up()
        self.assertNotIn("half-written", self.succeed("build").stderr)
        folder = self.built("drivers/some")
        folder.mkdir(parents=True)

        def make(name, at):
            (folder / name).write_text("")
            os.utime(folder / name, (at, at))
            return folder / name

        whole = [make("whole.o", 100), make(".whole.o.cmd", 100), make("first.o", 300), make("notes.d", 300)]
        half = [make("half.o", 300), make(".half.o.cmd", 200), make("torn.o", 100), make(".torn.o.cmd", 200), make(".torn.o.d", 100)]
        self.assertIn("an earlier build was killed: making 2 half-written files again", self.succeed("build").stderr)
        self.assertEqual([path.name for path in whole + half if path.exists()], [path.name for path in whole])

    def test_full_disk_while_building_is_said_and_gone_on_from(self):
        self.set_up()
        # For the first there is not the room for an image, for the second not for what comes after the images.
        for limit, text in ((512, "make failed (above"), (4096, "a command failed (above); ")):
            self.file_limit = limit
            self.refuse("build", says=["File too large", text, "After the cause is gone, build goes on from here"])
            self.file_limit = None
            self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        self.install()

    def test_progress_is_shown_while_it_builds(self):
        self.set_up()
        shown, terminal = os.openpty()
        process, gate = self.start_build(stderr=terminal)
        os.close(terminal)
        said, until = "", time.monotonic() + 60
        with open(gate, "w") as steps:
            # One line a second at most: steps go by until there is one.
            while "of about 2350 steps" not in said and time.monotonic() < until:
                print("  CC      drivers/some.o", file=steps, flush=True)
                if select.select([shown], [], [], 0.05)[0]:
                    said += os.read(shown, 4096).decode()
        self.assertEqual(process.wait(timeout=240), 0)
        os.close(shown)
        self.assertRegex(said, r"build-kernel\.sh: \d+ of about 2350 steps, \d+ s: CC +drivers/some\.o")

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
