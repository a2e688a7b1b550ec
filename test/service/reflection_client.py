#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client that knows nothing of kata_vfio.v1 but where it is: what there is comes by reflection.

Usage: reflection_client.py ADDRESS     with sandbox "sb1" open there

Debian has gRPC for Python, but neither grpcio-reflection nor grpcio-status; the few messages of the two are
written out below.
"""
import sys

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory


def make(pool, package, messages):
    """Adds messages {name: [(field, number, type, repeated)]} to a pool; gives their classes."""
    types = {"string": 9, "bytes": 12, "int32": 5}
    file = descriptor_pb2.FileDescriptorProto(name=package + ".proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            one = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in types:
                one.type = types[kind]
            else:
                one.type, one.type_name = 11, kind if kind.startswith(".") else f".{package}.{kind}"
    pool.Add(file)
    return {name: cls(pool, f"{package}.{name}") for name in messages}


def cls(pool, name):
    descriptor = pool.FindMessageTypeByName(name)
    get = getattr(message_factory, "GetMessageClass", None)
    return get(descriptor) if get else message_factory.MessageFactory(pool).GetPrototype(descriptor)


def main(address):
    channel = grpc.insecure_channel(address)
    own = descriptor_pool.DescriptorPool()
    own.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    reflection = make(own, "grpc.reflection.v1alpha", {
        "ServerReflectionRequest": [("file_containing_symbol", 4, "string", False),
                                    ("list_services", 7, "string", False)],
        "FileDescriptorResponse": [("file_descriptor_proto", 1, "bytes", True)],
        "ServiceResponse": [("name", 1, "string", False)],
        "ListServiceResponse": [("service", 1, "ServiceResponse", True)],
        "ServerReflectionResponse": [("file_descriptor_response", 4, "FileDescriptorResponse", False),
                                     ("list_services_response", 6, "ListServiceResponse", False)]})
    Request = reflection["ServerReflectionRequest"]
    ask = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=Request.SerializeToString,
        response_deserializer=reflection["ServerReflectionResponse"].FromString)
    services = [one.name for one in
                next(ask(iter([Request(list_services="*")]))).list_services_response.service]
    print("services", *sorted(services))

    pool = descriptor_pool.DescriptorPool()
    known = set()
    for service in sorted(services):
        if not service.startswith("kata_vfio.v1."):
            continue
        answer = next(ask(iter([Request(file_containing_symbol=service)])))
        files = [descriptor_pb2.FileDescriptorProto.FromString(one)
                 for one in answer.file_descriptor_response.file_descriptor_proto]
        # What is imported has to be there first.
        while files:
            rest = []
            for file in files:
                if file.name in known:
                    continue
                if all(name in known for name in file.dependency):
                    pool.Add(file)
                    known.add(file.name)
                else:
                    rest.append(file)
            if len(rest) == len(files):
                sys.exit("imports that are not served: %s" % [file.name for file in rest])
            files = rest

    def method(service, name):
        found = pool.FindServiceByName(service).methods_by_name[name]
        kind = channel.unary_stream if found.server_streaming else channel.unary_unary
        return kind(f"/{service}/{name}", request_serializer=cls(pool, found.input_type.full_name).SerializeToString,
                    response_deserializer=cls(pool, found.output_type.full_name).FromString), \
            cls(pool, found.input_type.full_name)

    # gRPC's own health service is listed, but has no descriptor to give.
    health = make(own, "grpc.health.v1", {"HealthCheckRequest": [("service", 1, "string", False)],
                                          "HealthCheckResponse": [("status", 1, "int32", False)]})
    check = channel.unary_unary("/grpc.health.v1.Health/Check",
                                request_serializer=health["HealthCheckRequest"].SerializeToString,
                                response_deserializer=health["HealthCheckResponse"].FromString)
    answer = check(health["HealthCheckRequest"](service="kata_vfio.v1.Devices"))
    print("health", "SERVING" if answer.status == 1 else answer.status)

    listing, ListRequest = method("kata_vfio.v1.Sandboxes", "List")
    print("sandboxes", *[one.sandbox for one in listing(ListRequest()).sandboxes])
    watch, WatchRequest = method("kata_vfio.v1.Sandboxes", "Watch")
    stream = watch(WatchRequest())
    print("snapshot of revision", next(stream).snapshot.revision)
    attach, AttachRequest = method("kata_vfio.v1.Devices", "Attach")
    attached = attach(AttachRequest(sandbox="sb1", device="i915-GVTg_V4_8")).attachments[0]
    print("attached at", attached.guest_address)
    event = next(stream).event
    kinds = pool.FindMessageTypeByName("kata_vfio.v1.Event").enum_types_by_name["Kind"]
    print("watched", kinds.values_by_number[event.kind].name)
    stream.cancel()
    try:
        attach(AttachRequest(sandbox="sb1", device="i915-GVTg_V9_9"))
        sys.exit("a type that does not exist was attached")
    except grpc.RpcError as error:
        rpc = details_classes(own)
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        info = rpc["ErrorInfo"].FromString(rpc["Status"].FromString(details).details[0].value)
        print("refused", info.reason, error.code().name, info.domain)


def details_classes(pool):
    file = descriptor_pb2.FileDescriptorProto(name="google.rpc.proto", package="google.rpc", syntax="proto3",
                                              dependency=["google/protobuf/any.proto"])
    status = file.message_type.add(name="Status")
    status.field.add(name="code", number=1, type=5, label=1)
    status.field.add(name="message", number=2, type=9, label=1)
    status.field.add(name="details", number=3, type=11, type_name=".google.protobuf.Any", label=3)
    info = file.message_type.add(name="ErrorInfo")
    info.field.add(name="reason", number=1, type=9, label=1)
    info.field.add(name="domain", number=2, type=9, label=1)
    pool.Add(file)
    return {name: cls(pool, "google.rpc." + name) for name in ("Status", "ErrorInfo")}


if __name__ == "__main__":
    main(sys.argv[1])
