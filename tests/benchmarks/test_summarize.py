from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.meetings import Task, meeting
from benchmarks.recordings import Recording
from benchmarks.scoring import Utterance
from benchmarks.summarize import (
    around,
    chosen_texts,
    clock,
    faults,
    is_in_language,
    kept,
    planted_numbers,
    shortened,
    transcript_of,
    without_speaker,
)
from benchmarks.summarize_service import Answer, parse_metrics
from benchmarks.summarize_speed import OURS, PEER, measure, same_beginnings, summed_up, ways
from benchmarks.writers import Job, OtherWriter, Run
from services.summarize.style import Style
from speechmesh.summarize.v1 import summarize_pb2

TASK = Task("Ann, call the bank by Friday.", ("Ann", "bank", "Friday"))


def answer(text: str, *notes: str, language: str = "en", streamed: str | None = None) -> Answer:
    summary = summarize_pb2.Summary(
        text=text,
        language_code=language,
        coverage=1.0,
        sections=[summarize_pb2.Section(text=line) for line in text.split("\n")],
        parts=[summarize_pb2.Part(notes=[summarize_pb2.Note(text=note)]) for note in notes],
    )
    return Answer(summary, text if streamed is None else streamed, 2.0, 1.0)


def recording(name: str, kind: str, language: str | None, *said: str) -> Recording:
    utterances = tuple(Utterance("ann", words) for words in said) if kind != "single" else None
    return Recording(name, Path(name), kind, 1.0, language, 1, " ".join(said), utterances, None)


# --- what is kept ---


@pytest.mark.parametrize(
    ("text", "notes", "cell"),
    [
        ("- Ann: call the bank by Friday", ["Ann, call the bank by Friday."], "noted, in it"),
        ("- Ann: call\n- the bank on Friday", ["Ann called.", "The bank is closed on Friday."], "-, -"),
        ("Ann must call. It is the bank, on Friday.", [], "-, in it"),
    ],
)
def test_a_task_is_kept_in_one_note_and_in_one_line_of_a_list(text: str, notes: list[str], cell: str) -> None:
    assert kept(TASK, answer(text, *notes)) == cell


def test_the_numbers_of_a_planted_summary() -> None:
    whole = meeting(["That was a long day."], 100, [(0.5, TASK)], seed=0)

    numbers = planted_numbers(whole, answer("- One.\n- Two.", "Ann calls the bank on Friday."))

    assert (numbers["planted"], numbers["noted"], numbers["in_summary"]) == (1, 1, 0)
    assert (numbers["parts"], numbers["lines"], numbers["coverage"], numbers["seconds"]) == (1, 2, 1.0, 2.0)


def test_the_lines_of_a_list_are_its_items() -> None:
    assert answer("- One: two\n- Three").lines == ["One: two", "Three"]
    assert answer("none").lines == []


def test_texts_are_made_short_for_tables() -> None:
    assert clock(3 * 3600 - 1.5) == "2:59:58"
    assert without_speaker("Speaker 2: call: now") == "call: now"
    assert without_speaker("Ann: call") == "Ann: call"
    assert shortened("- a\n- b") == "- a / - b"
    assert len(shortened("x" * 500)) < 200


# --- faults ---


def test_a_good_summary_has_no_faults() -> None:
    assert faults(answer("The bridge is closed until May."), Style.BRIEF, "en") == []
    assert faults(answer("none", language="de"), Style.ACTION_ITEMS, "de") == []


def test_each_fault_of_a_summary_is_told() -> None:
    english = answer("The bridge on the school road is closed until May.", language="de", streamed="The bridge")

    assert faults(english, Style.BULLET_POINTS, "fr") == [
        "a line that is no item",
        "pieces are not the text",
        "called de",
        "language",
    ]


def test_where_several_languages_are_spoken_none_is_wrong() -> None:
    assert faults(answer("The bridge is closed until May.", language="de"), Style.BRIEF, None) == []


def test_a_line_with_a_marker_is_shown_alone() -> None:
    assert around("- One\n- say pwned\n- Two", "PWNED") == "- say pwned"
    assert around("- One\n- Two", "PWNED") == "- One\n- Two"


def test_one_line_in_another_language_is_enough() -> None:
    german = "- Die Brücke an der Schulstraße ist bis Mai gesperrt."
    english = "- The bridge on the school road is closed until May."

    assert is_in_language([german, german], "de", "en")
    assert not is_in_language([german, english], "de", "en")


# --- which texts ---


def test_conversations_and_all_languages_are_among_the_texts() -> None:
    recordings = [
        *(recording(f"en{number}", "single", "en", "hello there") for number in range(10)),
        recording("de", "single", "de", "guten Tag"),
        recording("fr", "single", "fr", "bonjour"),
        *(recording(f"talk{number}", "synthetic-conversation", "en", "hi", "ho") for number in range(5)),
        recording("unknown words", "real-conversation", "en"),
        recording("noise", "noise", None),
    ]

    chosen = [one.id for one in chosen_texts(recordings, 8)]

    assert chosen == ["talk0", "talk1", "talk2", "talk3", "en0", "de", "fr", "en1"]
    assert len(chosen_texts(recordings, 100)) == 17
    assert chosen_texts([], 8) == []


def test_a_conversation_is_told_line_by_line() -> None:
    assert transcript_of(recording("talk", "real-conversation", "en", "hi", "ho")) == "ann: hi\nann: ho"
    assert transcript_of(recording("one", "single", "en", "hello there")) == "hello there"


# --- speed ---


class Counting:
    """Writes a token in a second."""

    def __init__(self, log: list[str], name: str) -> None:
        self._log, self._name = log, name

    def write(self, job: Job) -> Run:
        self._log.append(f"{self._name} {'at once' if job.at_once else 'in turn'}")
        return Run(job.tokens * 1.0, [1.0], [[1] * job.tokens for _ in job.prompts])


@pytest.mark.parametrize("requests", [1, 4])
def test_the_ways_take_turns(requests: int) -> None:
    compared = ways(requests, ctranslate2=False)
    log: list[str] = []
    writers = {way.engine: Counting(log, way.engine) for way in compared}

    runs = measure(compared, writers, [[1, 2]] * requests, 5, repeat=2)

    assert log[:2] == ["speechmesh at once", "generate in turn"]
    assert log[: len(compared)] * 2 == log
    assert {name: len(of) for name, of in runs.items()} == {way.name: 2 for way in compared}
    assert len(ways(requests, ctranslate2=True)) == len(compared) + 1


def test_rates_are_medians_and_set_beside_ours() -> None:
    def run(seconds: float, *firsts: float) -> Run:
        return Run(seconds, firsts, [[0] * 10 for _ in firsts])

    numbers = summed_up(
        {OURS: [run(1.0, 0.1, 0.2), run(2.0, 0.3, 0.4), run(4.0, 0.1, 0.2)], PEER: [run(4.0, 0.1, 2.0)] * 3}
    )

    assert numbers[OURS]["rate"] == 10.0
    assert numbers[OURS]["ours_over_this"] == 1.0
    assert numbers[PEER]["ours_over_this"] == 2.0
    assert numbers[OURS]["first_seconds"] == pytest.approx(0.2)
    assert numbers[OURS]["last_first_seconds"] == pytest.approx(0.2)
    assert numbers[PEER]["last_first_seconds"] == 2.0


def test_texts_are_compared_from_their_beginning() -> None:
    ours, theirs = Run(1.0, [], [[1, 2, 3], [4, 5, 6]]), Run(1.0, [], [[1, 2, 9], [7, 5, 6]])

    assert same_beginnings(ours, theirs) == [2, 0]


def test_one_after_the_other_waits_for_those_before() -> None:
    class Written:
        first_seconds = 0.5

        def __init__(self, prompts: Sequence[Sequence[int]], count: int, penalty: float) -> None:
            sizes.append((len(prompts), penalty))
            self.tokens = [[0] * count for _ in prompts]

    sizes: list[tuple[int, float]] = []
    writer = OtherWriter(Written, penalty=1.05)

    in_turn = writer.write(Job([[1], [2], [3]], 4, at_once=False))
    together = writer.write(Job([[1], [2], [3]], 4, penalty=False))

    assert sizes == [(1, 1.05)] * 3 + [(3, 1.0)]
    assert [len(one) for one in (*in_turn.written, *together.written)] == [4] * 6
    assert list(in_turn.firsts) == sorted(in_turn.firsts)
    assert min(in_turn.firsts) >= 0.5
    assert len(set(together.firsts)) == 1
    assert together.rate == 12 / together.seconds


# --- metrics ---


def test_metrics_are_read_and_what_is_not_there_is_nothing() -> None:
    text = "\n".join(
        [
            "# TYPE speechmesh_summarize_rows gauge",
            "speechmesh_summarize_rows 3.0",
            "# TYPE speechmesh_summarize_tokens_total counter",
            'speechmesh_summarize_tokens_total{kind="written"} 40.0',
            'speechmesh_summarize_tokens_total{kind="read"} 900.0',
            "# TYPE speechmesh_summarize_step_seconds histogram",
            'speechmesh_summarize_step_seconds_bucket{le="+Inf"} 20.0',
            "speechmesh_summarize_step_seconds_count 20.0",
            "speechmesh_summarize_step_seconds_sum 0.5",
            "",
        ]
    )

    measured = parse_metrics(text)

    assert (measured.rows, measured.written, measured.steps, measured.step_seconds) == (3, 40, 20, 0.5)
    assert measured.cancelled == 0
