#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: setup interrupted, and two of them at once."""

import os
import signal
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import sha256, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def interrupt(self, process, gate):
        # Opening returns when the other side reads from the gate, which is never written to.
        with open(gate, "w"):
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=240)
        self.assertEqual(process.returncode, 130, said)
        self.assertRegex(said, r"build-kernel\.sh: interrupted after \d+ s: setup goes on from here\n$")

    def test_setup_interrupted_while_it_merges_begins_again(self):
        gate = self.gate()
        self.interrupt(self.start(*self.setup_words(), "setup", STUB_CONFIG_GATE=str(gate)), gate)
        self.refuse("build", says=["-g intel setup first"])
        self.assertNotIn("is set up already", self.set_up().stderr)
        self.succeed("build")
        self.install()

    def test_setup_interrupted_when_there_was_a_tree_begins_again(self):
        self.set_up()
        self.succeed("build")
        gate = self.gate()
        self.interrupt(self.start(*self.setup_words(), "-f", "setup", STUB_CONFIG_GATE=str(gate)), gate)
        self.refuse("install", says=["-g intel setup first"])
        self.set_up()
        self.succeed("build")

    def test_setup_interrupted_while_it_unpacks_begins_again(self):
        tarball = self.tarball()
        words = ("--source", tarball, "--sha256", sha256(tarball), "setup")
        path, gate = self.folder / "bin", self.gate()
        path.mkdir()
        # Half of it, and then it waits.
        (path / "xz").write_text(f'#!/bin/sh\n{shutil.which("xz")} "$@" | head -c 12000\ncat {gate}\n')
        (path / "xz").chmod(0o755)
        self.interrupt(self.start(*words, PATH=f"{path}:{self.environment['PATH']}"), gate)
        self.refuse("build", says=["-g intel setup first"])
        self.succeed(*words)
        self.succeed("build")
        self.assertEqual([name for name in os.listdir(self.work / "source") if name.endswith(".new")], [])

    def test_second_waits_for_the_first(self):
        self.set_up()
        gate = self.gate()
        first = self.start("build", STUB_GATE=str(gate))
        with open(gate, "w"):
            second = self.start("config")
            said = second.stderr.readline()
            self.assertIn(f"another build-kernel.sh is at work in {self.work}: waiting for it", said)
            self.assertIsNone(second.poll())
        _, said = first.communicate(timeout=240)
        self.assertEqual(first.returncode, 0, said)
        _, said = second.communicate(timeout=240)
        self.assertEqual(second.returncode, 0, said)
        self.assertIn("nothing changed", said)


if __name__ == "__main__":
    unittest.main()
