"""Every message, enum, field and call of serving/proto against the descriptors that tritonclient and grpcio's health package were built with.

Run with: pytest tests/interop/test_wire_descriptors.py
"""
import pathlib
import subprocess

import grpc_health.v1.health_pb2 as theirs_health
import pytest
import tritonclient.grpc.model_config_pb2 as theirs_config
import tritonclient.grpc.service_pb2 as theirs_service
from google.protobuf import descriptor_pb2

PROTO = pathlib.Path(__file__).resolve().parents[2] / "serving/proto"
THEIRS = {"model_config.proto": theirs_config, "inference_service.proto": theirs_service, "health.proto": theirs_health}
# Beyond the published descriptors: the field that the Open Inference Protocol has and Triton has not.
OURS_ALONE = {"inference.ModelMetadataResponse.properties", "inference.ModelMetadataResponse.PropertiesEntry"}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    path = tmp_path_factory.mktemp("proto") / "set"
    subprocess.run(["protoc", "-I", PROTO, "--descriptor_set_out", path, *THEIRS], check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    return {file.name: file for file in files.file}


def enum_facts(enum, prefix):
    return {f"{prefix}{enum.name}.{value.name}": value.number for value in enum.value}


def message_facts(message, prefix):
    """Facts by the full name: a field's number, type, label and oneof; an enum value's number."""
    path = f"{prefix}{message.name}"
    facts = {path: ("map" if message.options.map_entry else "message")}
    for field in message.field:
        oneof = field.HasField("oneof_index") and not field.proto3_optional and message.oneof_decl[field.oneof_index].name
        facts[f"{path}.{field.name}"] = (field.number, field.type, field.type_name, field.label, oneof)
    for enum in message.enum_type:
        facts |= enum_facts(enum, path + ".")
    for nested in message.nested_type:
        facts |= message_facts(nested, path + ".")
    return facts


def file_facts(file):
    facts = {}
    for message in file.message_type:
        facts |= message_facts(message, file.package + ".")
    for enum in file.enum_type:
        facts |= enum_facts(enum, file.package + ".")
    for service in file.service:
        for call in service.method:
            facts[f"{file.package}.{service.name}/{call.name}"] = (call.input_type, call.output_type, call.client_streaming, call.server_streaming)
    return facts


@pytest.mark.parametrize("name", THEIRS)
def test_the_wire_is_theirs(ours, name):
    theirs = descriptor_pb2.FileDescriptorProto()
    THEIRS[name].DESCRIPTOR.CopyToProto(theirs)
    have = {key: fact for key, fact in file_facts(ours[name]).items() if not any(key.startswith(extra) for extra in OURS_ALONE)}
    want = file_facts(theirs)
    assert {key for key in want if key not in have} == set()
    assert {key for key in have if key not in want} == set()
    assert {key: (have[key], want[key]) for key in want if have[key] != want[key]} == {}


def test_something_was_compared(ours):
    assert sum(len(file_facts(file)) for file in ours.values()) > 400
