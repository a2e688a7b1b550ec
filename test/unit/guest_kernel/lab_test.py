#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test/scenarios/guest-kernel: what it compares the lab's kernel with, and when it judges it."""

import json
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import RELEASE, REPOSITORY, Workshop  # noqa: E402


class GuestKernel(Workshop):
    def setUp(self):
        super().setUp()
        self.set_up()
        self.succeed("build")
        self.succeed("-d", self.folder / "lab/guest-kernel", "-p", "/", "install")
        self.kernels = self.folder / "lab/guest-kernel/share/kata-containers"
        self.manifest = self.kernels / f"manifest-{RELEASE}.json"
        # Says that no kernel can serve: whoever gets there has begun to judge.
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "kata-vfio").write_text("#!/bin/sh\necho judging\nexit 4\n")
        (tools / "kata-vfio").chmod(0o755)
        self.environment.update(KATA_VFIO_LAB_CACHE=str(self.folder / "lab"), KATA_VFIO_BIN=str(tools))

    def scenario(self, *words, status):
        done = subprocess.run(
            [REPOSITORY / "test/scenarios/guest-kernel", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def change_manifest(self, path, **parts):
        path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))

    def fragments(self, **sums):
        return {**json.loads(self.manifest.read_text())["fragments"], **sums}

    def test_labs_kernel_of_this_checkout_is_judged(self):
        self.assertEqual(self.scenario("boot", status=4).stdout, "judging\n")

    def test_labs_kernel_of_other_fragments_is_not_judged(self):
        for parts, names in (
            ({"fragments": self.fragments(**{"pc.conf": "0"})}, "pc.conf"),
            ({"fragments": self.fragments(**{"mine.conf": "0"})}, "mine.conf"),
            ({"fragments": self.fragments(), "config_version": "1000"}, "config-version"),
        ):
            self.change_manifest(self.manifest, **parts)
            done = self.scenario("boot", status=77)
            self.assertEqual(done.stdout, "")
            self.assertIn(f"NOT JUDGED: the lab's kernel is not this checkout's, it is made of another {names} (", done.stderr)
            self.assertIn(f"can't be built again from this checkout, it is made of another {names}: ", self.scenario("reproduce", status=1).stderr)

    def test_labs_kernel_without_a_manifest_is_not_judged(self):
        self.manifest.unlink()
        self.assertIn(f"not what test/lab/lab guest-kernel installs: [Errno 2] No such file or directory: '{self.manifest}'", self.scenario("boot", status=1).stderr)

    def test_comparison_with_the_labs_kernel_says_when_there_is_none(self):
        ours = self.folder / self.manifest.name
        shutil.copy(self.manifest, ours)
        self.assertIn("the same bytes as the lab's: ", self.scenario("compare", ours, status=0).stdout)
        self.change_manifest(ours, sha256={"vmlinux": "0"})
        self.assertIn("made of the same as the lab's, and is another: ", self.scenario("compare", ours, status=1).stderr)
        # Without sums on either side nothing was compared.
        was = self.manifest.read_text()
        for path in (ours, self.manifest):
            path.write_text(json.dumps({name: part for name, part in json.loads(was).items() if name != "sha256"}))
        self.scenario("compare", ours, status=1)
        self.manifest.write_text(was)
        self.change_manifest(ours, build={"compiler": "another"}, sha256={})
        self.assertIn("NOT COMPARED: the lab's is made of another build (", self.scenario("compare", ours, status=77).stderr)
        self.manifest.unlink()
        self.assertIn(f"NOT COMPARED: the lab has no {self.manifest} (", self.scenario("compare", ours, status=77).stderr)


if __name__ == "__main__":
    unittest.main()
