# SPDX-License-Identifier: Apache-2.0
"""The QEMU command line of L1."""

import shlex

import tsc

# no_timer_check: on a busy build machine the kernel's boot-time check of its timer
# interrupt misses its ticks, and with interrupt remapping it panics over that.
# tsc=reliable: TCG's time stamp counter is one for all processors, but Linux cannot
# know and would read the HPET instead, under QEMU's global lock; a tick then takes so
# long on a busy build machine that L1 does nothing but ticks (soft lockups seen).
# Its rate is told too (tsc_early_khz): measured by L1 itself on a busy machine it came out wrong by
# a factor of four, and with it every time limit in L1.
# loglevel=5 keeps the traces of lockups in the console log. The rest saves boot time.
KERNEL_ARGS = (
    "console=ttyS0 loglevel=5 panic=-1 intel_iommu=on iommu=pt no_timer_check tsc=reliable "
    "nokaslr mitigations=off cryptomgr.notests audit=0 pci=noearly"
)


def command_line(env, run_dir, initrd, out_dir, fds, memory, extra):
    """QEMU arguments; `fds` are the descriptors of the ports {"out", "err", "ctl"}.

    PCI: 0000:00:02.0 the GPU, alone in its IOMMU group; 0000:01:00.0 an e1000e
    behind a root port; 0000:03:01.0 and 03:02.0 two e1000 in one group behind a
    conventional bridge; 0000:00:1f.{0,2,3} q35's own group. Root port rp2 is free.
    """
    args = ["qemu-system-x86_64", "-name", "lab-l1", "-nodefaults", "-no-user-config", "-no-reboot"]
    args += ["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"]
    args += ["-smp", "2", "-m", str(memory), "-display", "none", "-vga", "none", "-nic", "none"]
    args += ["-serial", f"file:{run_dir}/console.log"]
    args += ["-kernel", env["LAB_VMLINUX"], "-initrd", initrd]
    args += ["-append", f"{KERNEL_ARGS} tsc_early_khz={tsc.khz()}"]
    args += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    args += ["-device", "secondary-vga,addr=02.0"]
    args += ["-device", "pcie-root-port,id=rp1,addr=04.0,chassis=1"]
    args += ["-device", "e1000e,bus=rp1,romfile="]
    args += ["-device", "pcie-root-port,id=rp2,addr=05.0,chassis=2"]
    args += ["-device", "pcie-pci-bridge,id=br,addr=08.0"]
    args += ["-device", "e1000,bus=br,addr=1,romfile=", "-device", "e1000,bus=br,addr=2,romfile="]
    args += ["-device", "virtio-serial-pci,addr=10.0,max_ports=4"]
    for name, descriptor in fds.items():
        args += ["-chardev", f"socket,id={name},fd={descriptor}"]
        args += ["-device", f"virtserialport,chardev={name},name=lab.{name}"]
    exports = {
        "hostroot": "path=/,security_model=none,readonly=on,multidevs=remap",
        # A comma in a QEMU option value is written twice.
        "labout": f"path={out_dir.replace(',', ',,')},security_model=none,multidevs=remap",
    }
    for slot, (tag, export) in enumerate(exports.items(), 0x11):
        args += ["-fsdev", f"local,id={tag},{export}"]
        args += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag},addr={slot:x}.0"]
    return args + shlex.split(extra)
