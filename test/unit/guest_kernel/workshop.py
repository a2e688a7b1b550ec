# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh on a kernel source in miniature, for the *_test.py of this folder: NAME_test.py CASE.

KATA_VFIO_BIN is the folder of kata-vfio, for `check`.
"""

import hashlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import stub_tree  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = REPOSITORY / "qemu/guest-kernel/build-kernel.sh"
FRAGMENTS = REPOSITORY / "qemu/guest-kernel/fragments"
CONFIG_VERSION = (REPOSITORY / "qemu/guest-kernel/config-version").read_text().strip()
RELEASE = f"6.1.192-{CONFIG_VERSION}-intel-gpu"


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Workshop(unittest.TestCase):
    """A folder with a source in miniature, and build-kernel.sh working on it."""

    # No file may grow beyond that many bytes: to a program it is as a full disk is.
    file_limit = None
    script = SCRIPT

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="guest-kernel-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.work = self.folder / "work"
        self.source = stub_tree.make(self.folder / "linux", FRAGMENTS)
        self.environment = {**os.environ, "KATA_VFIO_GUEST_KERNEL_CCACHE": "no"}
        for name in ("KATA_VFIO_GUEST_KERNEL_CACHE", "SUDO_USER", "SOURCE_DATE_EPOCH", "MAKEFLAGS", "MAKELEVEL"):
            self.environment.pop(name, None)

    def limit_files(self):
        if self.file_limit is not None:
            # With the signal ignored, write(2) fails.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, self.file_limit))

    def run_script(self, *words, **environment):
        return subprocess.run(
            [self.script, "-g", "intel", "-w", self.work, *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            preexec_fn=self.limit_files,
        )

    def succeed(self, *words, **environment):
        done = self.run_script(*words, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refuse(self, *words, status=1, says=(), **environment):
        done = self.run_script(*words, **environment)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in says:
            self.assertIn(text, done.stderr)
        return done

    def tree_sum(self, source=None):
        command = "find . -path ./.git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
        return subprocess.check_output(command, shell=True, text=True, cwd=source or self.source).split()[0]

    def setup_words(self, source=None):
        source = source or self.source
        return ("--source", source, "--sha256", self.tree_sum(source))

    def set_up(self, *words):
        return self.succeed(*self.setup_words(), *words, "setup")

    def set_up_version(self, version, *words):
        """A tree of another Linux, and its folder."""
        source = stub_tree.make(self.folder / f"linux-{version}", FRAGMENTS, version)
        self.succeed(*self.setup_words(source), *words, "setup")
        return self.work / "build" / RELEASE.replace("6.1.192", version)

    def fragments_without(self, *lines):
        """A folder with ours, less those lines."""
        copy = shutil.copytree(FRAGMENTS, self.folder / "fragments")
        for path in copy.glob("*.conf"):
            path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line not in lines))
        return copy

    def raise_config_version(self):
        """From now on it is a checkout whose config-version is one higher."""
        copy = shutil.copytree(SCRIPT.parent, self.folder / "checkout")
        (copy / "config-version").write_text(f"{int(CONFIG_VERSION) + 1}\n")
        self.script = copy / "build-kernel.sh"

    def start(self, *words, stderr=subprocess.PIPE, **environment):
        """What run_script() runs, begun in a process group of its own."""
        return subprocess.Popen(
            [self.script, "-g", "intel", "-w", self.work, *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def gate(self):
        """Who opens it for reading waits until it is opened for writing here."""
        path = self.folder / "gate"
        os.mkfifo(path)
        return path

    def built(self, name):
        return self.work / "build" / RELEASE / {"vmlinuz": "arch/x86/boot/bzImage"}.get(name, name)

    def tarball(self):
        path = self.folder / "linux.tar.xz"
        subprocess.run(["tar", "-C", self.folder, "-cJf", path, "linux"], check=True)
        return path

    def install(self, *words):
        return self.succeed("-d", self.folder / "root", *words, "install")

    def installed(self):
        return self.folder / "root/usr/share/kata-containers"
