#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh: the source from Debian's package, with an archive of one package in miniature."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from workshop import RELEASE, REPOSITORY, sha256, Workshop  # noqa: E402

PACKAGE = "linux-source-6.1"
VERSION = "6.1.192-2"

# What of apt is used: the list with its sums, and the download of a package into the current folder.
APT_CACHE = """\
#!/bin/sh
case $* in
"show --no-all-versions linux-source") echo 'Depends: {package}, xz-utils' ;;
"show {package}") printf 'Version: {version}\\nSHA256: {sum}\\n' ;;
"madison linux-source") echo 'linux-source | 6.1.192-2 | archive' ;;
*) exit 100 ;;
esac
"""
APT_GET = """\
#!/bin/sh
echo "$*" >>"{folder}/fetched"
cp "{archive}" ./{package}_{version}_all.deb
"""


class GuestKernel(Workshop):
    def setUp(self):
        super().setUp()
        self.deb = self.folder / f"{PACKAGE}.deb"
        package = self.folder / "package"
        (package / "DEBIAN").mkdir(parents=True)
        (package / "DEBIAN/control").write_text(
            f"Package: {PACKAGE}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: miniature\n"
        )
        (package / "usr/src").mkdir(parents=True)
        tarball = self.tarball()
        tarball.rename(package / f"usr/src/{PACKAGE}.tar.xz")
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", package, self.deb], check=True, capture_output=True)
        self.path = self.folder / "bin"
        self.path.mkdir()
        self.environment["PATH"] = f"{self.path}:{self.environment['PATH']}"
        self.archive(self.deb)

    def archive(self, deb, listed=None):
        words = {"package": PACKAGE, "version": VERSION, "folder": self.folder, "archive": deb, "sum": listed or sha256(self.deb)}
        for name, text in (("apt-cache", APT_CACHE), ("apt-get", APT_GET)):
            (self.path / name).write_text(text.format(**words))
            (self.path / name).chmod(0o755)

    def fetched(self):
        path = self.folder / "fetched"
        return path.read_text().splitlines() if path.exists() else []

    def kept(self):
        return self.work / f"download/{PACKAGE}_{VERSION}_all.deb"

    def test_debian_source_is_fetched_once_and_built(self):
        done = self.succeed("setup")
        self.assertIn(f"Linux 6.1.192 from Debian's {PACKAGE} {VERSION} is set up", done.stderr)
        self.succeed("build")
        self.succeed("-f", "setup")
        self.assertEqual(len(self.fetched()), 1)
        self.assertIn(f"download {PACKAGE}={VERSION}", self.fetched()[0])

    def test_debian_package_cut_off_before_is_fetched_again(self):
        self.kept().parent.mkdir(parents=True)
        self.kept().write_bytes(self.deb.read_bytes()[:-100])
        done = self.succeed("setup")
        self.assertIn("is not what apt's list says (truncated?): fetching it again", done.stderr)
        self.assertEqual(sha256(self.kept()), sha256(self.deb))

    def test_debian_package_other_than_listed_is_refused(self):
        self.archive(self.deb, listed="0" * 64)
        self.refuse("setup", says=["is not what apt's list says: sha256 must be 000000"])
        self.assertFalse(list((self.work / "source").iterdir()))

    def test_debian_package_cut_off_with_its_sum_right_is_refused(self):
        cut = self.folder / "cut.deb"
        cut.write_bytes(self.deb.read_bytes()[:-300])
        self.archive(cut, listed=sha256(cut))
        self.refuse("setup", says=["can't be unpacked (above)"])
        self.archive(self.deb)
        self.succeed("setup")

    def test_debian_version_that_is_not_there_is_named(self):
        self.refuse("-v", "6.1.7-1", "setup", says=[f"apt has no {PACKAGE} for -v 6.1.7-1; it has: {VERSION}"])
        self.refuse("-v", "5.10", "setup", says=["apt has no linux-source-5.10 for -v 5.10"])
        self.assertEqual(self.fetched(), [])
        self.succeed("-v", "6.1", "setup")
        self.succeed("-v", VERSION, "setup")

    def lab(self, *words):
        done = subprocess.run(
            [REPOSITORY / "test/lab/lab", "guest-kernel", *words],
            env={**self.environment, "KATA_VFIO_LAB_CACHE": str(self.folder / "lab")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_lab_builds_and_installs_from_the_folder_that_is_named(self):
        kernels = self.folder / "lab/guest-kernel/share/kata-containers"
        # -v: another tree is the current one.
        self.set_up_version("6.12.19")
        for words in (("-w", self.work), ("-v", "6.1", "-w", self.work, "-j", "2")):
            done = self.lab(*words)
            self.assertIn(f"/share/kata-containers/vmlinux-intel-gpu.container -> vmlinux-{RELEASE}\n", done.stdout)
            self.assertIn(f"sandboxes start with {kernels}/vmlinux-intel-gpu.container from now on", done.stderr)
            self.assertEqual(sha256(kernels / "vmlinux-intel-gpu.container"), sha256(self.built("vmlinux")))
            subprocess.run(["rm", "-r", self.folder / "lab"], check=True)

    def test_lab_does_not_say_that_sandboxes_take_a_debug_kernel(self):
        kernel = self.folder / "lab/guest-kernel/share/kata-containers/vmlinux-intel-gpu-debug.container"
        self.assertIn(f"a sandbox starts with it by --kernel {kernel}\n", self.lab("-w", self.work, "-t", "debug").stderr)
        self.assertTrue(kernel.exists())

    def test_debian_archive_that_is_not_known_is_said(self):
        (self.path / "apt-cache").write_text("#!/bin/sh\nexit 100\n")
        self.refuse("setup", says=["apt knows no linux-source", "apt-get update", "--source and --sha256"])

    def test_debian_download_that_fails_is_said(self):
        (self.path / "apt-get").write_text("#!/bin/sh\necho 'E: Failed to fetch' >&2\nexit 100\n")
        self.refuse("setup", says=["E: Failed to fetch", f"apt-get can't download {PACKAGE}={VERSION}"])


if __name__ == "__main__":
    unittest.main()
