#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""A CRI client for the tests, a call a line.

    cri.py run-pod NAME [--privileged] [--cgroup-parent GROUP] [KEY=VALUE...]
                                                   RunPodSandbox with annotations; prints its id
    cri.py run POD-ID NAME IMAGE [OPTION...] -- CMD...  CreateContainer and StartContainer; its id
        -d NODE | --privileged | --pod-pids | --memory BYTES | --cpu MICROSECONDS (of 100000)
    cri.py pods                                    a line each: id, name, ready or not-ready
    cri.py status CONTAINER-ID                     created, running, exited or unknown, and exit code
    cri.py reason CONTAINER-ID                     CRI's word for why it is so: Completed, Error, OOMKilled
    cri.py memory CONTAINER-ID BYTES               UpdateContainerResources
    cri.py stats CONTAINER-ID                      ContainerStats: nanoseconds, and bytes
    cri.py exec CONTAINER-ID CMD...                ExecSync; its output and exit status
    cri.py stop CONTAINER-ID SECONDS | remove CONTAINER-ID
    cri.py stop-pod POD-ID | remove-pod POD-ID

CONTAINERD_ADDRESS: containerd's socket. CRI_MODULES: a folder for what protoc makes of cri.proto.
Exit status 1: the call failed, with CRI's words on stderr. Pods have the node's network.
"""

import os
import subprocess
import sys

here = os.path.dirname(os.path.realpath(__file__))
HANDLER = "kata-vfio"


def messages():
    folder = os.environ["CRI_MODULES"]
    if not os.path.exists(os.path.join(folder, "cri_pb2.py")):
        subprocess.run(["protoc", f"--python_out={folder}", f"-I{here}", "cri.proto"], check=True)
    sys.path.insert(0, folder)
    import cri_pb2

    return cri_pb2


class Client:
    def __init__(self):
        import grpc

        self.m = messages()
        self.channel = grpc.insecure_channel("unix://" + os.environ["CONTAINERD_ADDRESS"])

    def call(self, method, request, answer):
        stub = self.channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return stub(request, timeout=300)

    def node_namespaces(self, pids=1):
        return self.m.NamespaceOption(network=2, pid=pids)

    def pod_config(self, name, annotations=()):
        config = self.m.PodSandboxConfig()
        config.metadata.name = config.metadata.uid = name
        config.metadata.namespace = "test"
        config.log_directory = "/tmp/cri-logs"
        config.linux.security_context.namespace_options.CopyFrom(self.node_namespaces())
        config.annotations.update(annotations)
        return config

    def run_pod(self, name, *words):
        words = list(words)
        parent = ""
        if "--cgroup-parent" in words:
            at = words.index("--cgroup-parent")
            parent = words[at + 1]
            del words[at : at + 2]
        annotations = dict(word.split("=", 1) for word in words if word != "--privileged")
        config = self.pod_config(name, annotations)
        config.linux.cgroup_parent = parent
        config.linux.security_context.privileged = "--privileged" in words
        request = self.m.RunPodSandboxRequest(config=config, runtime_handler=HANDLER)
        print(self.call("RunPodSandbox", request, self.m.RunPodSandboxResponse).pod_sandbox_id)

    def run(self, pod, name, image, *words):
        words = list(words)
        config = self.m.ContainerConfig(image=self.m.ImageSpec(image=image), log_path=f"{name}.log")
        config.metadata.name = name
        context = config.linux.security_context
        context.namespace_options.CopyFrom(self.node_namespaces())
        while (option := words.pop(0)) != "--":
            if option == "-d":
                node = words.pop(0)
                config.devices.add(container_path=node, host_path=node, permissions="rwm")
            elif option == "--privileged":
                context.privileged = True
            elif option == "--pod-pids":
                context.namespace_options.pid = 0
            elif option == "--memory":
                config.linux.resources.memory_limit_in_bytes = int(words.pop(0))
            elif option == "--cpu":
                config.linux.resources.cpu_quota = int(words.pop(0))
                config.linux.resources.cpu_period = 100000
            else:
                sys.exit(f"cri.py: unknown option {option}")
        config.command.extend(words)
        sandbox = self.pod_config(name)
        sandbox.linux.security_context.privileged = context.privileged
        request = self.m.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=sandbox)
        made = self.call("CreateContainer", request, self.m.ContainerId)
        print(made.container_id, flush=True)
        self.call("StartContainer", made, self.m.Empty)

    def pods(self):
        for item in self.call("ListPodSandbox", self.m.Empty(), self.m.ListPodSandboxResponse).items:
            print(item.id, item.metadata.name, "not-ready" if item.state else "ready")

    def status_of(self, container):
        request = self.m.ContainerStatusRequest(container_id=container)
        return self.call("ContainerStatus", request, self.m.ContainerStatusResponse).status

    def reason(self, container):
        print(self.status_of(container).reason)

    def status(self, container):
        told = self.status_of(container)
        print(("created", "running", "exited", "unknown")[told.state], told.exit_code)

    def memory(self, container, most):
        limits = self.m.LinuxContainerResources(memory_limit_in_bytes=int(most))
        request = self.m.UpdateContainerResourcesRequest(container_id=container, linux=limits)
        self.call("UpdateContainerResources", request, self.m.Empty)

    def stats(self, container):
        request = self.m.ContainerStatsRequest(container_id=container)
        stats = self.call("ContainerStats", request, self.m.ContainerStatsResponse).stats
        for name, value in (("cpu", stats.cpu.usage_core_nano_seconds), ("usage", stats.memory.usage_bytes),
                            ("working-set", stats.memory.working_set_bytes), ("available", stats.memory.available_bytes)):
            print(name, value.value)

    def exec(self, container, *command):
        request = self.m.ExecSyncRequest(container_id=container, cmd=command, timeout=60)
        answer = self.call("ExecSync", request, self.m.ExecSyncResponse)
        sys.stdout.buffer.write(answer.stdout)
        sys.stderr.buffer.write(answer.stderr)
        return answer.exit_code

    def stop(self, container, seconds):
        request = self.m.StopContainerRequest(container_id=container, timeout=int(seconds))
        self.call("StopContainer", request, self.m.Empty)

    def remove(self, container):
        self.call("RemoveContainer", self.m.ContainerId(container_id=container), self.m.Empty)

    def stop_pod(self, pod):
        self.call("StopPodSandbox", self.m.PodSandboxRequest(pod_sandbox_id=pod), self.m.Empty)

    def remove_pod(self, pod):
        self.call("RemovePodSandbox", self.m.PodSandboxRequest(pod_sandbox_id=pod), self.m.Empty)


VERBS = {"run-pod", "run", "pods", "status", "reason", "memory", "stats", "exec", "stop", "remove", "stop-pod", "remove-pod"}


def main(words):
    if not words or words[0] not in VERBS:
        sys.exit(__doc__)
    import grpc

    try:
        return getattr(Client(), words[0].replace("-", "_"))(*words[1:]) or 0
    except grpc.RpcError as error:
        print(error.details(), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
