#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build-kernel.sh on a kernel source in miniature: guest_kernel_test.py CASE.

KATA_VFIO_BIN is the folder of kata-vfio, for `check`.
"""

import hashlib
import json
import os
import pathlib
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


class GuestKernel(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="guest-kernel-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.work = self.folder / "work"
        self.source = stub_tree.make(self.folder / "linux", FRAGMENTS)
        self.environment = {**os.environ, "KATA_VFIO_GUEST_KERNEL_CCACHE": "no"}
        for name in ("KATA_VFIO_GUEST_KERNEL_CACHE", "SUDO_USER", "SOURCE_DATE_EPOCH", "MAKEFLAGS", "MAKELEVEL"):
            self.environment.pop(name, None)

    def run_script(self, *words, **environment):
        return subprocess.run(
            [SCRIPT, "-g", "intel", "-w", self.work, *words],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
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

    def setup_words(self):
        return ("--source", self.source, "--sha256", self.tree_sum())

    def set_up(self, *words):
        return self.succeed(*self.setup_words(), *words, "setup")

    def built(self, name):
        return self.work / "build" / RELEASE / {"vmlinuz": "arch/x86/boot/bzImage"}.get(name, name)

    def tarball(self):
        path = self.folder / "linux.tar.xz"
        subprocess.run(["tar", "-C", self.folder, "-cJf", path, "linux"], check=True)
        return path

    # --- fragments and merge

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
                name, _, reason = line.partition(" ")
                self.assertIn(name, requested)
                self.assertGreater(len(reason.strip()), 10, name)

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
        kconfig.write_text(kconfig.read_text().replace("config MITIGATION_ITS\n", "config MITIGATION_ITS_OLD\n"))
        self.assertIn("left out: CONFIG_MITIGATION_ITS (came with", self.set_up().stderr)

    # --- build

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

    # --- install

    def install(self, *words):
        return self.succeed("-d", self.folder / "root", *words, "install")

    def installed(self):
        return self.folder / "root/usr/share/kata-containers"

    def test_install_has_the_walkthroughs_names(self):
        self.set_up()
        self.succeed("build")
        done = self.install()
        self.assertEqual(
            done.stdout.splitlines()[:2],
            [
                f"/usr/share/kata-containers/vmlinux-intel-gpu.container -> vmlinux-{RELEASE}",
                f"/usr/share/kata-containers/vmlinuz-intel-gpu.container -> vmlinuz-{RELEASE}",
            ],
        )
        self.assertEqual(done.stdout.splitlines()[-1], 'kernel = "/usr/share/kata-containers/vmlinuz-intel-gpu.container"')
        for image in ("vmlinux", "vmlinuz"):
            self.assertEqual(os.readlink(self.installed() / f"{image}-intel-gpu.container"), f"{image}-{RELEASE}")
            self.assertEqual(sha256(self.installed() / f"{image}-{RELEASE}"), sha256(self.built(image)))
        self.assertEqual(
            sorted(os.listdir(self.installed())),
            sorted([f"config-{RELEASE}", f"manifest-{RELEASE}.json"] + [f"{i}-{n}" for i in ("vmlinux", "vmlinuz") for n in (RELEASE, "intel-gpu.container")]),
        )

    def test_install_keeps_the_former(self):
        self.set_up()
        self.succeed("build")
        self.install()
        former = sha256(self.built("vmlinux"))
        extra = self.folder / "extra.conf"
        extra.write_text("CONFIG_DEBUG_FS=y\n")
        self.succeed("--fragment", extra, "build")
        self.install("--fragment", extra)
        self.assertEqual(sha256(self.installed() / f"vmlinux-{RELEASE}.former"), former)
        self.assertEqual(sha256(self.installed() / f"vmlinux-{RELEASE}"), sha256(self.built("vmlinux")))
        self.assertFalse([name for name in os.listdir(self.installed()) if name.startswith(".")])

    def test_install_refuses_what_build_did_not_make(self):
        self.set_up()
        self.refuse("install", says=["nothing is built"])
        self.succeed("build")
        with open(self.built("vmlinuz"), "ab") as file:
            file.write(b"x")
        self.refuse("-d", self.folder / "root", "install", says=["is not what build made", "run build again"])
        self.assertFalse(self.installed().exists())

    def test_install_that_can_not_write_says_what_to_do(self):
        self.set_up()
        self.succeed("build")
        (self.folder / "file").write_text("")
        self.refuse("-d", self.folder / "file", "install", says=["can't write", "sudo -E build-kernel.sh -g intel install", "-d or -p"])

    # --- check

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

    # --- bad input

    def test_missing_tool_is_named_with_its_package(self):
        path = self.folder / "bin"
        path.mkdir()
        for folder in ("/usr/bin", "/bin", "/usr/sbin"):
            for tool in os.listdir(folder):
                if tool not in ("flex", "bc") and not (path / tool).exists():
                    (path / tool).symlink_to(f"{folder}/{tool}")
        self.refuse(*self.setup_words(), "setup", says=["not installed: bc flex. Install them: sudo apt-get install bc flex"], PATH=str(path))

    def test_wrong_and_truncated_tarballs_are_refused(self):
        tarball = self.tarball()
        right = sha256(tarball)
        self.assertIn("from the tarball linux.tar.xz", self.succeed("--source", tarball, "--sha256", right, "setup").stderr)
        self.refuse("--source", tarball, "--sha256", "0" * 64, "setup", says=["is not what --sha256 says", right])
        cut = self.folder / "cut.tar.xz"
        cut.write_bytes(tarball.read_bytes()[:-100])
        self.refuse("--source", cut, "--sha256", right, "setup", says=["truncated"])
        # The sum is right, the bytes are not.
        self.refuse("--source", cut, "--sha256", sha256(cut), "setup", says=["can't be unpacked"])
        other = self.folder / "other.tar"
        subprocess.run(["tar", "-C", self.folder, "-cf", other, "cut.tar.xz"], check=True)
        self.refuse("--source", other, "--sha256", sha256(other), "setup", says=["is no Linux source"])

    def test_dirty_and_changed_sources_are_refused(self):
        words = self.setup_words()
        (self.source / "Makefile").write_text(stub_tree.MAKEFILE + "# changed\n")
        self.refuse(*words, "setup", says=["is not what --sha256 says (changed?)", self.tree_sum()])
        self.set_up()
        (self.source / "Kconfig").write_text((self.source / "Kconfig").read_text())
        self.refuse("build", says=["the source was changed after it was proved", "Kconfig"])
        (self.source / ".config").write_text("")
        self.refuse(*words, "setup", says=["was built in (.config is there)", "make mrproper"])

    def test_unpacked_source_that_was_changed_is_refused(self):
        tarball = self.tarball()
        words = ("--source", tarball, "--sha256", sha256(tarball), "setup")
        self.succeed(*words)
        unpacked = next((self.work / "source").glob("tarball-*/Kconfig"))
        with open(unpacked, "a") as file:
            file.write("# changed\n")
        self.refuse("build", says=["was changed after it was proved", "setup -f unpacks it again"])
        self.assertIn("unpacking it again", self.succeed("-f", *words).stderr)
        self.succeed("build")

    def test_another_source_needs_f(self):
        self.set_up()
        (self.source / "README").write_text("another one\n")
        self.refuse(*self.setup_words(), "setup", says=["is set up from the tree linux, not from the tree linux: -f begins again"])
        self.set_up("-f")
        self.assertIn("is set up already", self.set_up().stderr)

    def test_no_space_is_said_before_anything_is_begun(self):
        self.refuse(*self.setup_words(), "setup", says=["MB free", "needs 999999999 MB", "-w"], KATA_VFIO_GUEST_KERNEL_NEEDS_MB="999999999")
        self.assertFalse(self.built("setup.env").exists())

    def test_wrong_usage(self):
        for words, text in (
            ((), "no verb"),
            (("boil",), "there is no verb 'boil'"),
            (("-g", "nvidia", "setup"), "only intel is built here"),
            (("-a", "arm64", "setup"), "only x86_64"),
            (("-t", "release", "setup"), "the only build type is debug"),
            (("-v", "../x", "setup"), "no kernel version"),
            (("-j", "0", "build"), "a number from 1"),
            (("-p", "usr", "install"), "must be an absolute path"),
            (("-q", "build"), "there is no option -q"),
            (("build", "-d"), "-d wants a value"),
            (("--source", "x", "setup"), "give its --sha256 too"),
            (("--source", "x", "--sha256", "12", "setup"), "64 hexadecimal digits"),
            (("build", "more"), "build takes nothing more: more"),
        ):
            self.refuse(*words, status=2, says=[text])

    def test_verbs_before_setup(self):
        for verb in ("build", "install", "config", "check", "clean"):
            self.refuse(verb, says=["run build-kernel.sh -g intel setup first"])
        self.refuse("-v", "5.10", "build", says=["there is no tree of 5.10", "-v 5.10 setup first"])

    def test_work_folder_that_make_can_not_have(self):
        self.work = self.folder / "with space"
        self.refuse(*self.setup_words(), "setup", says=["has white space or a colon in its name"])


if __name__ == "__main__":
    unittest.main()
