"""One suite for every summarizer: the fake one, a tiny random one, and Qwen with real weights."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.models.catalogue import model_folder
from services.runtime.errors import Fault
from services.runtime.worker import Cancelled
from services.summarize.engine import Style, Summarizer, TextTooLong
from tests.summarize.fake_engine import FakeSummarizer

REAL = "qwen2.5-coder-0.5b-instruct"
TEXT = "Ana: The report is late. Ben: I will send it to Carla on Monday. Ana: Good."


@pytest.fixture(
    scope="module",
    params=["fake", "tiny", pytest.param("real", marks=[pytest.mark.model, pytest.mark.slow])],
)
def summarizer(request: pytest.FixtureRequest) -> Summarizer:
    if request.param == "fake":
        return FakeSummarizer()
    from services.summarize.transformers_engine import TransformersSummarizer

    if request.param == "tiny":
        folder: Path = request.getfixturevalue("tiny_qwen")
        return TransformersSummarizer(
            "tiny",
            folder,
            device="cpu",
            threads=2,
            max_input_tokens=2048,
            max_new_tokens=dict.fromkeys(Style, 12),
        )
    folder = model_folder(request.getfixturevalue("models_dir"), REAL)
    return TransformersSummarizer(REAL, folder, device="cpu", threads=2, max_input_tokens=2048)


def summarize(summarizer: Summarizer, style: Style, text: str = TEXT) -> tuple[str, list[str]]:
    pieces: list[str] = []
    summary = summarizer.summarize(text, style, pieces.append, lambda: False)
    assert summary.input_tokens > 0
    assert summary.output_tokens > 0
    return summary.text, pieces


def test_it_names_itself(summarizer: Summarizer) -> None:
    assert summarizer.model


@pytest.mark.parametrize("style", [Style.HEADLINE, Style.ACTION_ITEMS])
def test_the_pieces_are_the_summary(summarizer: Summarizer, style: Style) -> None:
    text, pieces = summarize(summarizer, style)

    assert "".join(pieces) == text == text.strip()
    assert all(pieces)


def test_a_headline_is_one_line(summarizer: Summarizer) -> None:
    text, _ = summarize(summarizer, Style.HEADLINE)

    assert text
    assert len(text.splitlines()) == 1


def test_every_line_of_a_list_begins_with_a_dash(summarizer: Summarizer) -> None:
    text, _ = summarize(summarizer, Style.ACTION_ITEMS)

    assert text
    assert all(line.startswith("- ") for line in text.split("\n"))


def test_two_equal_requests_give_equal_text(summarizer: Summarizer) -> None:
    assert summarize(summarizer, Style.HEADLINE) == summarize(summarizer, Style.HEADLINE)


def test_requests_at_the_same_time_do_not_touch_each_other(summarizer: Summarizer) -> None:
    texts = [TEXT, "Ada: The server is down. Bob: I restart it now.", TEXT]
    alone = [summarize(summarizer, Style.HEADLINE, text) for text in texts]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda text: summarize(summarizer, Style.HEADLINE, text), texts))

    assert together == alone


def test_a_text_that_does_not_fit_is_refused_with_both_numbers(summarizer: Summarizer) -> None:
    with pytest.raises(TextTooLong) as refused:
        summarizer.summarize("word " * 5000, Style.BRIEF, lambda _: None, lambda: False)

    assert refused.value.fault is Fault.TOO_LARGE
    assert refused.value.field == "text"
    assert refused.value.tokens > refused.value.limit > 0
    assert str(refused.value.tokens) in refused.value.message
    assert str(refused.value.limit) in refused.value.message


def test_a_request_that_nobody_wants_never_starts(summarizer: Summarizer) -> None:
    pieces: list[str] = []

    with pytest.raises(Cancelled):
        summarizer.summarize(TEXT, Style.BRIEF, pieces.append, lambda: True)

    assert pieces == []


def test_cancelling_stops_it_and_it_serves_the_next(summarizer: Summarizer) -> None:
    looks: list[int] = []

    def cancelled() -> bool:
        looks.append(1)
        return len(looks) >= 5

    with pytest.raises(Cancelled):
        summarizer.summarize(TEXT, Style.BRIEF, lambda _: None, cancelled)

    assert len(looks) < 10
    assert summarize(summarizer, Style.HEADLINE)
