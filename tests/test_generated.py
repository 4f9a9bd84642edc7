"""The generated code is what the protos say."""

import shutil
from pathlib import Path

from services.cli.protos import drift

PROTOS = Path(__file__).resolve().parent.parent / "protos"


def test_generating_again_changes_nothing() -> None:
    assert drift(PROTOS) == []


def test_a_changed_contract_is_noticed(tmp_path: Path) -> None:
    protos = tmp_path / "protos"
    shutil.copytree(PROTOS, protos)
    contract = protos / "speechmesh" / "asr" / "v1" / "asr.proto"
    contract.write_text(contract.read_text().replace("string display_name = 2;", "string shown_name = 2;"))

    assert "speechmesh/asr/v1/asr_pb2.pyi" in drift(protos)
