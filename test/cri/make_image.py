#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""make_image.py OUT.tar NAME: an OCI image of this machine's busybox and lspci, in the layout that
`ctr images import` takes. One uncompressed layer; nothing is fetched."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile


def libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def add(tar, name, data, mode=0o644, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.linkname = mode, kind, link
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def layer():
    busybox, lspci = shutil.which("busybox"), shutil.which("lspci")
    if not busybox or not lspci:
        sys.exit("make_image.py: busybox (busybox-static) and lspci (pciutils) are needed")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders = {"bin", "etc", "proc", "sys", "dev", "tmp", "root"}
        files = {"bin/busybox": busybox, "bin/lspci": lspci}
        files.update({path.lstrip("/"): path for path in libraries(lspci)})
        for path in files:
            while path := os.path.dirname(path):
                folders.add(path)
        for folder in sorted(folders):
            add(tar, folder, b"", 0o1777 if folder == "tmp" else 0o755, tarfile.DIRTYPE)
        for name, path in files.items():
            with open(os.path.realpath(path), "rb") as file:
                add(tar, name, file.read(), 0o755)
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet not in ("busybox", "lspci"):
                add(tar, f"bin/{applet}", b"", 0o777, tarfile.SYMTYPE, "busybox")
        add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        add(tar, "etc/group", b"root:x:0:\nnobody:x:65534:\n")
    return out.getvalue()


def main(words):
    if len(words) != 2:
        sys.exit(__doc__)
    target, name = words
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    rootfs = blob(layer(), "layer.v1.tar")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [rootfs["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [rootfs],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name}
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    with tarfile.open(target, "w") as tar:
        add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        for digest, data in blobs.items():
            add(tar, f"blobs/sha256/{digest}", data)


if __name__ == "__main__":
    main(sys.argv[1:])
