# SPDX-License-Identifier: Apache-2.0
"""Start a sandbox's QEMU, shaped as Kata starts it."""

import os
import shlex
import socket

from place import LabError, UsageError, end, folder, last_words

# panic=-1 with -no-reboot: a guest that panics ends its QEMU. The rest saves boot time:
# pci=noearly alone two seconds of port I/O (a scan for AGP bridges in 2003's processors), noreplace-smp
# a tenth (some 9000 LOCK prefixes taken out one by one, each with a change of page tables).
GUEST_KERNEL_ARGS = (
    "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests audit=0 "
    "pci=noearly no_timer_check noreplace-smp drm_kms_helper.fbdev_emulation=0"
)


def lab_env():
    cache = os.environ.get("KATA_VFIO_LAB_CACHE", "/var/cache/kata-vfio/lab")
    ours = "/run/lab/job/lab.env"  # in L1: of the run itself
    try:
        with open(ours if os.path.exists(ours) else os.path.join(cache, "lab.env")) as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)
    except FileNotFoundError:
        raise LabError(f"{cache}/lab.env is not there: run test/lab/lab up") from None


def guest_kernel(chosen, env):
    """The kernel to start: the one that was named; else build-kernel.sh's where `lab guest-kernel` has
    put it; else Debian's, which "debian" asks for by name."""
    if chosen not in (None, "debian"):
        return chosen
    cache = os.environ.get("KATA_VFIO_LAB_CACHE", "/var/cache/kata-vfio/lab")
    own = os.path.join(cache, "guest-kernel/share/kata-containers/vmlinux-intel-gpu.container")
    return own if chosen is None and os.path.exists(own) else env["LAB_VMLINUX"]


def initramfs(kernel, env):
    """Of Debian's kernel alone there are modules to bring along."""
    return env["LAB_L2_INITRAMFS" if kernel in (env["LAB_VMLINUX"], env["LAB_VMLINUZ"]) else "LAB_L2_BUILTIN_INITRAMFS"]


def listening(path):
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(path)
    except OSError as error:
        raise LabError(f"cannot make the socket {path}: {error.strerror or error}") from None
    server.listen(8)
    os.set_inheritable(server.fileno(), True)
    return server


def command_line(options, where, monitors):
    args = [options["qemu"], "-name", os.path.basename(where), "-nodefaults", "-no-user-config"]
    args += ["-display", "none", "-vga", "none", "-no-reboot"]
    args += ["-machine", options["machine"], "-accel", options["accel"]]
    # Never -cpu max: with KVM in L1 its guest ends in a soft lockup.
    args += ["-cpu", "qemu64", "-smp", "1", "-m", options["memory"]]
    args += ["-serial", f"file:{where}/console.log"]
    for name, server in monitors.items():
        args += ["-chardev", f"socket,id={name},fd={server.fileno()},server=on,wait=off"]
        args += ["-mon", f"chardev={name},mode=control"]
    # Port 0 is kept for a console; 31 ports, the default, take the guest a second to set up.
    args += ["-device", "virtio-serial-pci,max_ports=2", "-chardev", f"pipe,id=agent,path={where}/agent"]
    args += ["-device", "virtserialport,chardev=agent,name=lab.agent"]
    if options["ejector"]:
        args += ["-bios", lab_env()["LAB_EJECTOR"]]
    elif not options["no-guest"]:
        env = lab_env()
        kernel = guest_kernel(options["kernel"], env)
        args += ["-kernel", kernel, "-initrd", initramfs(kernel, env)]
        args += ["-append", GUEST_KERNEL_ARGS]
    if options["paused"]:
        args += ["-S"]
    return args + shlex.split(options["extra"])


def answers(path):
    """Whether QEMU answers a command on its monitor, False if it ended instead.

    The greeting alone does not tell: a thread of its own sends it while the devices
    of the command line are still being made. Commands are served after that.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        try:
            client.sendall(b'{"execute": "qmp_capabilities"}\n')
            said = b""
            while b'"return"' not in said:
                more = client.recv(4096)
                if not more:
                    return False
                said += more
        except (ConnectionResetError, BrokenPipeError):
            return False
    return True


def spawn(command, log):
    nothing = os.open("/dev/null", os.O_RDONLY)
    streams = [(os.POSIX_SPAWN_DUP2, source, target) for source, target in ((nothing, 0), (log, 1), (log, 2))]
    try:
        return os.posix_spawnp(command[0], command, os.environ, file_actions=streams, setsid=True)
    except OSError as error:
        raise LabError(f"cannot run {command[0]}: {error.strerror}") from None


def launch(where, options):
    for end_of_port in ("in", "out"):
        os.mkfifo(os.path.join(where, f"agent.{end_of_port}"))
    # QEMU inherits sockets that listen already: whoever connects from now on is served.
    monitors = {name: listening(os.path.join(where, name + ".sock")) for name in ("qmp", "qmp-raw")}
    command = command_line(options, where, monitors)
    log = os.open(os.path.join(where, "qemu.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(log, shlex.join(command).encode() + b"\n")
    pid = spawn(command, log)
    with open(os.path.join(where, "pid"), "w") as file:
        file.write(f"{pid}\n")
    for server in monitors.values():
        server.close()
    if not answers(os.path.join(where, "qmp-raw.sock")):
        raise LabError(f"QEMU ended before it was up{last_words(where)}")


def start(name, options):
    if options["machine"] not in ("pc", "q35"):
        raise UsageError(f"--machine {options['machine']}: pc or q35")
    # stage2 of L1 leaves its job there.
    options["accel"] = options["accel"] or ("kvm" if os.path.exists("/run/lab/job") else "tcg")
    where = folder(name)
    os.makedirs(os.path.dirname(where), exist_ok=True)
    try:
        os.mkdir(where)
    except FileExistsError:
        raise LabError(f"sandbox {name} is there already ({where}); stop it first") from None
    try:
        launch(where, options)
    except BaseException:
        end(where)
        raise
