#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: a source that is no longer what was proved, whatever its times say."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import sha256, Workshop  # noqa: E402

CHANGED = "the source was changed after it was proved: "


def change_unseen_by_time(path):
    """A longer text, with the times that the file had."""
    was = path.stat()
    path.write_text(path.read_text() + "# changed\n")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def replace_by_older(path):
    """As cp -p or tar do: the same size, and a time before the source was proved."""
    path.write_text(path.read_text().swapcase())
    os.utime(path, (1500000000, 1500000000))


class GuestKernel(Workshop):
    changes = (
        ("Kconfig", change_unseen_by_time),
        ("tools/kconfig.py", replace_by_older),
        ("drivers/gpu/drm/i915/Kconfig", os.remove),
        ("added", lambda path: (path.write_text(""), os.utime(path, (1500000000, 1500000000)))),
    )

    def test_changed_given_source_is_refused_whatever_its_times(self):
        self.set_up()
        was = self.folder / "was"
        shutil.copytree(self.source, was)
        for name, change in self.changes:
            change(self.source / name)
            self.refuse("build", says=[f"{CHANGED}{self.source}/{name}. "])
            shutil.rmtree(self.source)
            shutil.copytree(was, self.source)
        self.succeed("build")

    def test_changed_unpacked_source_is_refused_whatever_its_times(self):
        tarball = self.tarball()
        words = ("--source", tarball, "--sha256", sha256(tarball), "setup")
        self.succeed(*words)
        unpacked = next((self.work / "source").glob("tarball-*/Kconfig")).parent
        for name, change in self.changes:
            change(unpacked / name)
            self.refuse("build", says=[f"{CHANGED}{unpacked}/{name}. setup -f unpacks it again"])
            self.refuse(*words, says=[f"{CHANGED}{unpacked}/{name}. "])
            self.assertIn("unpacking it again", self.succeed("-f", *words).stderr)
        self.succeed("build")
        self.succeed("-f", "clean")
        self.assertEqual(os.listdir(self.work / "source"), [])

    def test_touched_given_source_is_gone_on_with_when_it_is_proved_again(self):
        self.set_up()
        self.succeed("build")
        (self.source / "Kconfig").touch()
        self.refuse("build", says=[f"{CHANGED}{self.source}/Kconfig. setup with its --sha256 proves it again"])
        self.assertIn("is set up already", self.set_up().stderr)
        self.succeed("build")

    def test_gits_own_files_do_not_change_a_source(self):
        (self.source / ".git").mkdir()
        self.set_up()
        (self.source / ".git/index").write_text("")
        self.succeed("build")

    def test_source_that_was_set_up_before_there_were_lists(self):
        tarball = self.tarball()
        self.succeed("--source", tarball, "--sha256", sha256(tarball), "setup")
        next((self.work / "source").glob("tarball-*.files")).unlink()
        self.succeed("build")
        kconfig = next((self.work / "source").glob("tarball-*/Kconfig"))
        kconfig.touch()
        self.refuse("build", says=[f"{CHANGED}{kconfig}. "])


if __name__ == "__main__":
    unittest.main()
