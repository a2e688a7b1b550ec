# SPDX-License-Identifier: Apache-2.0
"""A kernel source in miniature: what build-kernel.sh asks of one, made in a second.

Its Kconfig has every option of the fragments, its allnoconfig honours `depends on` and `if`, and its
bzImage and vmlinux are real enough to be looked into: boot header, gzip payload, ELF, PVH note, .config.
"""

import os
import pathlib
import re

MAKEFILE = """\
VERSION = @MAJOR@
PATCHLEVEL = @MINOR@
SUBLEVEL = @PATCH@
EXTRAVERSION =
NAME = Miniature

src := $(CURDIR)
allnoconfig:
	$(if $(STUB_CONFIG_GATE),@cat $(STUB_CONFIG_GATE))
	$(if $(STUB_CONFIG_FAILS),@echo 'Kconfig:1: syntax error'; exit 1)
	python3 -I $(src)/tools/kconfig.py $(src) $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)
bzImage:
	$(if $(STUB_GATE),@echo '  CC      gate.o'; cat $(STUB_GATE))
	@python3 -I $(src)/tools/link.py $(O) $(VERSION).$(PATCHLEVEL).$(SUBLEVEL)
"""

MERGE_CONFIG = """\
#!/bin/sh
# -m -O DIRECTORY FRAGMENT...
[ "$1" = -m ] && [ "$2" = -O ] || exit 1
[ -z "$STUB_MERGE_FAILS" ] || { echo 'The merge file is not there.' >&2; exit 1; }
into=$3
shift 3
cat "$@" >"$into/.config"
"""

KCONFIG = r'''
import os, re, sys
source, wanted, final = sys.argv[1:]
entries, conditions = {}, []
def read(path):
    current = None
    for line in open(os.path.join(source, path)):
        if found := re.match(r'(?:menu)?config (\w+)', line):
            current = found[1]
            entries[current] = list(conditions)
        elif found := re.match(r'\s+depends on (.*)', line):
            entries[current] += found[1].split(' && ')
        elif found := re.match(r'if (\w+)', line):
            conditions.append(found[1])
        elif line.startswith('endif'):
            conditions.pop()
        elif found := re.match(r'source "(.*)"', line):
            read(found[1])
read('Kconfig')
asked = dict(re.match(r'CONFIG_(\w+)=(.*)', line).groups() for line in open(wanted) if line.startswith('CONFIG_'))
on = {name: value for name, value in asked.items() if name in entries or name == 'LOCALVERSION'}
while dropped := [name for name in on if not all(need in on for need in entries.get(name, []))]:
    for name in dropped:
        del on[name]
with open(final, 'w') as file:
    file.write('CONFIG_X86_64=y\n')
    for name in sorted(entries | on):
        file.write(f'CONFIG_{name}={on[name]}\n' if name in on else f'# CONFIG_{name} is not set\n')
'''

LINK = r"""
import glob, gzip, os, re, struct, subprocess, sys
tree, number = sys.argv[1:]
config = open(f'{tree}/.config', 'rb').read()
# scripts/setlocalversion: the text of each file of that name goes into the kernel's own.
version = number + ''.join(open(name).read().strip() for name in sorted(glob.glob(f'{tree}/localversion*')))
version += re.search(rb'^CONFIG_LOCALVERSION="(.*)"$', config, re.M)[1].decode()
os.makedirs(f'{tree}/include/config', exist_ok=True)
open(f'{tree}/include/config/kernel.release', 'w').write(version + '\n')
elf_path, image_path = f'{tree}/vmlinux', f'{tree}/arch/x86/boot/bzImage'
pins = ' '.join(os.environ.get(f'KBUILD_BUILD_{name}', str(os.getpid())) for name in ('USER', 'HOST', 'VERSION', 'TIMESTAMP'))
note = struct.pack('<III4sQ', 4, 8, 18, b'Xen\0', 0x1000000) if b'CONFIG_PVH=y' in config else b''
body = b'IKCFG_ST' + gzip.compress(config, mtime=0) + b'IKCFG_ED' + pins.encode()
head = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\x02\x01\x01', 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
segment = struct.pack('<IIQQQQQQ', 4, 4, 120, 0, 0, len(note), len(note), 4)
elf = head + segment + note + body
payload = gzip.compress(elf, mtime=0)
setup = bytearray(1024)
setup[0x1f1] = 1
setup[0x202:0x208] = b'HdrS' + struct.pack('<H', 0x20f)
setup[0x20e:0x210] = struct.pack('<H', 0x100)
setup[0x236] = 1
setup[0x248:0x250] = struct.pack('<II', 0, len(payload))
version = version.encode() + b' (kata-vfio@kata-vfio) #1 SMP\0'
setup[0x300:0x300 + len(version)] = version
os.makedirs(os.path.dirname(image_path), exist_ok=True)
for path, data, step in ((elf_path, elf, 'LD      vmlinux'), (image_path, bytes(setup) + payload, 'BUILD   arch/x86/boot/bzImage')):
    if not os.path.exists(path) or open(path, 'rb').read() != data:
        print(f'  {step}', flush=True)
        open(path, 'wb').write(data)
built_in = b'CONFIG_DRM_I915=y' in config
information = b'virtio.license=GPL\0' + (b'i915.license=MIT\0' if built_in else b'')
# From 6.17 on; before that no alias of a built-in driver is written down, and its table in the object is all there is.
information += b''.join(b'i915.alias=%s\0' % alias.encode() for alias in os.environ.get('STUB_ALIASES', '').split())
open(f'{tree}/modules.builtin.modinfo', 'wb').write(information)
os.makedirs(f'{tree}/drivers/gpu/drm/i915', exist_ok=True)
table = '''static const struct id { unsigned vendor, device, subvendor, subdevice, class, mask; unsigned long data, only; }
__attribute__((used)) pciidlist[] = { { 0x8086, 0x1602, ~0u, ~0u }, { 0x8086, %s, ~0u, ~0u }, { 0 } };''' % os.environ.get('STUB_GPU', '0x1616')
subprocess.run(['gcc', '-c', '-x', 'c', '-o', f'{tree}/drivers/gpu/drm/i915/i915_pci.o', '-'], input=table, text=True, check=True)
"""


def options_of(fragments):
    names = set()
    for path in pathlib.Path(fragments).glob("*.conf"):
        for line in path.read_text().splitlines():
            if found := re.match(r"(?:# )?CONFIG_(\w+)(?:=| is not set)", line):
                names.add(found[1])
    return names


def make(where, fragments, version="6.1.192"):
    """The source of that Linux in folder `where`, with every option of the fragments."""
    where = pathlib.Path(where)
    makefile = MAKEFILE
    for word, number in zip(("@MAJOR@", "@MINOR@", "@PATCH@"), version.split(".")):
        makefile = makefile.replace(word, number)
    for name, text in {
        "Makefile": makefile,
        "scripts/kconfig/merge_config.sh": MERGE_CONFIG,
        "tools/kconfig.py": KCONFIG,
        "tools/link.py": LINK,
        "Kconfig": 'source "drivers/gpu/drm/i915/Kconfig"\n'
        + "".join(f'config {name}\n\tbool "{name}"\n\n' for name in sorted(options_of(fragments)) if name != "DRM_I915_USERPTR"),
        "drivers/gpu/drm/i915/Kconfig": 'config DRM_I915_USERPTR\n\tbool "userptr"\n\tdepends on DRM_I915\n',
    }.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # As a tarball has them: nothing of it is younger than its being unpacked.
    for path in where.rglob("*"):
        os.utime(path, (1600000000, 1600000000))
    return where
