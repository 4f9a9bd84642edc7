"""Summaries by the real model, through the public API of a whole mesh."""

import json
from pathlib import Path

import pytest
import requests

from tests.e2e.mesh import Mesh

pytestmark = [pytest.mark.model, pytest.mark.slow]

MEETING = [
    ("Ana", "Good morning. The roof of the school has been leaking since the storm in March."),
    ("Ben", "The repair costs 45000 euros and takes about three weeks."),
    ("Ana", "Ben, please send the contract to Lindner by Monday."),
    ("Ben", "Yes, I will send it tomorrow."),
    ("Ana", "The parents were told about the roof in a letter last week."),
]
STYLES = ("brief", "detailed", "action_items", "bullet_points", "headline")


def segments() -> list[dict[str, object]]:
    return [
        {"text": text, "speaker": name, "start": 10.0 * number, "end": 10.0 * number + 6}
        for number, (name, text) in enumerate(MEETING)
    ]


def summarize(mesh: Mesh, **body: object) -> dict[str, object]:
    answer = requests.post(f"{mesh.url}/v1/summarize", json=body, timeout=240)
    assert answer.status_code == 200, answer.text
    result: dict[str, object] = answer.json()
    return result


@pytest.mark.parametrize("style", STYLES)
def test_every_style_reads_all_and_says_where_it_has_it_from(mesh: Mesh, style: str) -> None:
    answer = summarize(mesh, segments=segments(), style=style)

    assert (answer["style"], answer["coverage"], answer["parts"], answer["language"]) == (style, 1.0, 1, "en")
    sources = answer["sources"]
    assert isinstance(sources, list)
    assert all(source["text"] in str(answer["summary"]) for source in sources)
    assert all(0 <= time["start"] < time["end"] <= 46 for source in sources for time in source["times"])
    assert any(source["times"] for source in sources)


def test_the_task_of_a_meeting_is_listed(mesh: Mesh) -> None:
    answer = str(summarize(mesh, segments=segments(), style="action_items")["summary"])

    assert all(line.startswith("- ") for line in answer.split("\n"))
    assert "contract to Lindner by Monday" in answer
    assert "letter" not in answer


def test_equal_requests_get_equal_answers(mesh: Mesh) -> None:
    once, again = (summarize(mesh, segments=segments(), style="bullet_points") for _ in range(2))

    assert once == again


def test_a_korean_text_is_summed_up_in_korean(mesh: Mesh) -> None:
    text = "이번 분기 매출은 3억 원으로 지난 분기보다 5% 늘었습니다. 다음 회의는 4월 2일에 하겠습니다."

    assert summarize(mesh, text=text)["language"] == "ko"


def test_a_summary_streams(mesh: Mesh) -> None:
    body = {"text": "\n".join(f"{name}: {text}" for name, text in MEETING), "style": "bullet_points"}
    answer = requests.post(
        f"{mesh.url}/v1/summarize", json=body, headers={"Accept": "text/event-stream"}, timeout=240, stream=True
    )
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    told = [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in events]
    deltas = [data["text"] for name, data in told if name == "delta"]

    assert len(deltas) > 1
    assert told[-1][0] == "result"
    assert "".join(deltas) == told[-1][1]["summary"]


def test_a_transcript_comes_with_its_summary(mesh: Mesh, two_speakers: Path) -> None:
    answer = mesh.transcribe(two_speakers.read_bytes(), summarize="brief").json()

    assert answer["summary"]
    assert "\n" not in answer["summary"]
    assert answer["summary_details"]["coverage"] == 1.0
    assert answer["text"]
