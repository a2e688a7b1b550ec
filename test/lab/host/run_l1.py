# SPDX-License-Identifier: Apache-2.0
"""`lab run`: boot L1, run one command in it, stream what it prints, return its status.

Three socket pairs are the far ends of virtio-serial ports in L1: the command's
stdout, its stderr, and the words of l1/stage2 (up, fail, exit, done). Nothing is
read from the console; its log is for people.
"""

import argparse
import ctypes
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import initramfs  # noqa: E402
import l1_machine  # noqa: E402

L1_FAILED = 125
# 6 s on a quiet machine; 100 s have been seen on one that was starved.
BOOT_SECONDS = float(os.environ.get("KATA_VFIO_LAB_BOOT_SECONDS", "150"))
# After the command's end L1 only has to flush its pipes.
DRAIN_SECONDS = 15
KEPT_RUNS = 20
PR_SET_PDEATHSIG = 1


class L1Failed(Exception):
    """L1 itself failed; the text says how."""


def parse(argv):
    parser = argparse.ArgumentParser(prog="lab run", allow_abbrev=False)
    parser.add_argument("--qemu-args", default="", metavar="ARGS")
    parser.add_argument("--memory", type=int, default=4096, metavar="MB")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--env", action="append", default=[], metavar="K=V")
    parser.add_argument("--out", metavar="DIR")
    parser.add_argument("--no-modules", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    if args.command[:1] == ["--"]:
        args.command = args.command[1:]
    if not args.command:
        parser.error("no command: lab run [OPTION...] -- CMD...")
    for item in args.env:
        if not item.partition("=")[0].isidentifier() or "=" not in item:
            parser.error(f"--env {item}: not K=V")
    return args


def read_env(cache):
    with open(os.path.join(cache, "lab.env")) as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)


def make_run_dir():
    """A folder for this run's logs; the oldest beyond KEPT_RUNS go."""
    runs = os.environ.get("KATA_VFIO_LAB_RUNS", "/var/tmp/kata-vfio-lab")
    os.makedirs(runs, exist_ok=True)
    for name in sorted(os.listdir(runs))[:-KEPT_RUNS]:
        pid = name.rpartition("-")[2]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(runs, name), ignore_errors=True)
    run_dir = os.path.join(runs, time.strftime("%Y%m%d-%H%M%S-") + str(os.getpid()))
    os.mkdir(run_dir)
    return run_dir


def job_files(args, env, cache):
    """What l1/stage2 runs: the command as a script, and its settings."""
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "KATA_VFIO_LAB_CACHE": cache,
        "LAB_OUT": "/run/lab/out",
        **dict(item.split("=", 1) for item in args.env),
    }
    here = shlex.quote(os.getcwd())
    lines = ["#!/bin/bash"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [f"cd {here} || exit {L1_FAILED}", "exec " + shlex.join(args.command)]
    settings = {
        "MODULES": "no" if args.no_modules else "yes",
        "LAB_BOOT": env["LAB_BOOT"],
        "LAB_MODULES": env["LAB_MODULES"],
    }
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    # L1's own copy: another checkout's `lab up` may write the one in the cache meanwhile.
    parts = "".join(f"{name}={value}\n" for name, value in env.items())
    return {
        "job/command": (0o755, ("\n".join(lines) + "\n").encode()),
        "job/settings": (0o644, text.encode()),
        "job/lab.env": (0o644, parts.encode()),
    }


def write_initrd(path, base, files):
    with open(path, "wb") as target, open(base, "rb") as source:
        shutil.copyfileobj(source, target)
        target.write(b"\0" * (-target.tell() % 4))
        target.write(initramfs.archive(["job"], files))


def die_with_parent():
    # A killed `lab run` must not leave its QEMU behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class NotUp(L1Failed):
    """L1 did not come up in BOOT_SECONDS; nothing of the job has run."""


class Run:
    def __init__(self, args, deadline):
        self.args = args
        self.deadline = deadline
        self.started = time.monotonic()
        self.up = False
        self.status = None
        self.words = b""
        self.finished = False
        self.selector = selectors.DefaultSelector()

    def note(self, text):
        print(f"lab: {text}", file=sys.stderr, flush=True)

    def watch(self, ports):
        handlers = {"out": 1, "err": 2, "ctl": None}
        for name, port in ports.items():
            self.selector.register(port, selectors.EVENT_READ, handlers[name])

    def pump(self):
        """Move what L1 said until it has said `done`."""
        while not self.finished:
            left = self.deadline - time.monotonic()
            if not self.up:
                left = min(left, self.started + BOOT_SECONDS - time.monotonic())
            ready = self.selector.select(max(left, 0))
            if not ready and left <= 0:
                if self.status is not None:
                    raise L1Failed(f"the command ended with {self.status}, but its output did not within {DRAIN_SECONDS} s")
                if not self.up and time.monotonic() < self.deadline:
                    raise NotUp(f"L1 was not up after {BOOT_SECONDS} s")
                raise L1Failed(f"timed out after {self.args.timeout:g} s")
            for key, _ in ready:
                self.move(key)
        # All was written before `done` was, so it is here already.
        for key in list(self.selector.get_map().values()):
            key.fileobj.setblocking(False)
            try:
                while self.move(key):
                    pass
            except BlockingIOError:
                pass

    def move(self, key):
        try:
            data = key.fileobj.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.selector.unregister(key.fileobj)
            if not self.finished and not self.selector.get_map():
                raise L1Failed("L1 stopped before the command ended (kernel panic, power-off or QEMU's death)")
        elif key.data is not None:
            while data:
                data = data[os.write(key.data, data) :]
            return True
        else:
            self.words += data
            while b"\n" in self.words:
                line, _, self.words = self.words.partition(b"\n")
                self.hear(line.decode(errors="replace"))
            return True
        return False

    def hear(self, line):
        word, _, rest = line.partition(" ")
        if word == "up":
            self.up = True
            self.note(f"L1 is up after {time.monotonic() - self.started:.1f} s")
        elif word == "fail":
            raise L1Failed(f"L1 could not be made ready: {rest}")
        elif word == "exit":
            self.status = int(rest)
            self.deadline = min(self.deadline, time.monotonic() + DRAIN_SECONDS)
        elif word == "done":
            self.finished = True
        else:
            raise L1Failed(f"L1 said {line!r}, which is no word of l1/stage2")


def tail(path, count):
    try:
        with open(path, errors="replace") as file:
            lines = file.read().replace("\r", "").splitlines()[-count:]
    except FileNotFoundError:
        return ""
    return "".join(f"    {line}\n" for line in lines)


def boot_and_run(args, env, cache, run_dir, out_dir, deadline):
    initrd = os.path.join(run_dir, "initrd")
    write_initrd(initrd, env["LAB_L1_INITRAMFS"], job_files(args, env, cache))
    ours, theirs = {}, {}
    for name in ("out", "err", "ctl"):
        ours[name], theirs[name] = socket.socketpair()
    fds = {name: port.fileno() for name, port in theirs.items()}
    command = l1_machine.command_line(env, run_dir, initrd, out_dir, fds, args.memory, args.qemu_args)
    run = Run(args, deadline)
    with open(os.path.join(run_dir, "qemu.log"), "w") as log:
        print(shlex.join(command), file=log, flush=True)
        qemu = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=list(fds.values()),
            preexec_fn=die_with_parent,
            # Ctrl-C at the terminal is for us; we end QEMU ourselves.
            start_new_session=True,
        )
    for port in theirs.values():
        port.close()
    try:
        run.watch(ours)
        run.pump()
    finally:
        qemu.kill()
        qemu.wait()
        os.unlink(initrd)
    run.note(f"exit status {run.status} after {time.monotonic() - run.started:.1f} s")
    return run.status


def main(argv):
    args = parse(argv)
    cache = os.environ["KATA_VFIO_LAB_CACHE"]
    env = read_env(cache)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    run_dir = make_run_dir()
    out_dir = os.path.realpath(args.out) if args.out else tempfile.mkdtemp(prefix="kata-vfio-lab-out-")
    if args.out:
        os.makedirs(out_dir, exist_ok=True)
    try:
        deadline = time.monotonic() + args.timeout
        try:
            return boot_and_run(args, env, cache, run_dir, out_dir, deadline)
        except NotUp as failure:
            # Seen once in some hundred boots: both emulated processors at an int3 (README.md).
            os.rename(os.path.join(run_dir, "console.log"), os.path.join(run_dir, "console-1.log"))
            print(f"lab: {failure}: starting it once more", file=sys.stderr, flush=True)
            return boot_and_run(args, env, cache, run_dir, out_dir, deadline)
    except L1Failed as failure:
        console = os.path.join(run_dir, "console.log")
        qemu_log = os.path.join(run_dir, "qemu.log")
        print(f"lab: {failure}", file=sys.stderr)
        print(f"lab: console of L1: {console}, its end:\n{tail(console, 20)}", file=sys.stderr, end="")
        print(f"lab: QEMU's own words: {qemu_log}, its end:\n{tail(qemu_log, 5)}", file=sys.stderr, end="")
        return L1_FAILED
    finally:
        if not args.out:
            shutil.rmtree(out_dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
