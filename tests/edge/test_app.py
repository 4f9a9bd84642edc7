import json
from pathlib import Path

from tests.edge.fake_mesh import FakeAsr, FakeMesh, form, post


async def test_unknown_addresses_and_methods_answer_in_json(tmp_path: Path) -> None:
    async with FakeMesh().client(tmp_path) as client:
        missing = await client.get("/v2/nothing")
        wrong = await client.get("/v1/transcribe")

        assert (missing.status, (await missing.json())["code"]) == (404, "not_found")
        assert (wrong.status, (await wrong.json())["code"]) == (405, "method_not_allowed")
        assert wrong.headers["Allow"] == "POST"


async def test_an_unexpected_failure_hides_its_text(tmp_path: Path) -> None:
    mesh = FakeMesh(asr=FakeAsr(failure=RuntimeError("secret detail")))

    status, _, _, text = await post(tmp_path, form(), mesh)

    assert (status, json.loads(text)["code"]) == (500, "internal")
    assert "secret" not in text


async def test_the_callers_request_id_is_kept_when_it_is_harmless(tmp_path: Path) -> None:
    _, kept, _, _ = await post(tmp_path, form(), headers={"X-Request-Id": "job-17"})
    _, replaced, _, _ = await post(tmp_path, form(), headers={"X-Request-Id": "a b"})

    assert kept["X-Request-Id"] == "job-17"
    assert len(replaced["X-Request-Id"]) == 32
