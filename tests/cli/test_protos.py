import shutil
from pathlib import Path

import pytest

from services.cli.protos import drift, generate, generated_files, sources

PROTO = 'syntax = "proto3"; package speechmesh.tea.v1; message Cup { string tea = 1; }'


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    folder = tmp_path / "speechmesh" / "tea" / "v1"
    folder.mkdir(parents=True)
    (folder / "tea.proto").write_text(PROTO)
    generate(tmp_path, tmp_path)
    return tmp_path


def test_code_and_stubs_are_generated_beside_the_contract(protos: Path) -> None:
    assert sources(protos) == ["speechmesh/tea/v1/tea.proto"]
    names = {"tea_pb2.py", "tea_pb2.pyi", "tea_pb2_grpc.py", "tea_pb2_grpc.pyi"}
    assert generated_files(protos) == {f"speechmesh/tea/v1/{name}" for name in names}
    assert drift(protos) == []


def test_a_changed_contract_is_drift(protos: Path) -> None:
    proto = protos / "speechmesh/tea/v1/tea.proto"
    proto.write_text(PROTO.replace("tea = 1", "leaves = 1"))
    assert drift(protos) == ["speechmesh/tea/v1/tea_pb2.py", "speechmesh/tea/v1/tea_pb2.pyi"]


def test_code_without_a_contract_and_a_contract_without_code_are_drift(protos: Path) -> None:
    folder = protos / "speechmesh/tea/v1"
    shutil.copy(folder / "tea_pb2.py", folder / "coffee_pb2.py")
    (folder / "tea_pb2.pyi").unlink()
    assert drift(protos) == ["speechmesh/tea/v1/coffee_pb2.py", "speechmesh/tea/v1/tea_pb2.pyi"]
