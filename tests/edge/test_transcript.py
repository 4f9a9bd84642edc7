import pytest

from services.edge.transcript import UNSPACED_LANGUAGES, Segment, Transcript


def _transcript(*texts: tuple[str, str], task: str = "transcribe") -> Transcript:
    """Return a transcript of segments given as (language, text)."""
    segments = (Segment(0.0, 1.0, text, (), 0.9, -0.1, 0.0, 1.0, language, 1.0) for language, text in texts)
    return Transcript(tuple(segments), texts[0][0], 1.0, 1.0, "base", False, task=task)


def test_segments_are_joined_by_spaces() -> None:
    assert _transcript(("en", "Hello."), ("en", ""), ("fr", "Bonjour.")).text == "Hello. Bonjour."


@pytest.mark.parametrize("language", sorted(UNSPACED_LANGUAGES))
def test_segments_in_languages_without_spaces_are_joined_without(language: str) -> None:
    assert _transcript((language, "今天很好"), (language, ""), (language, "明天也好。")).text == "今天很好明天也好。"


def test_korean_is_written_with_spaces() -> None:
    assert _transcript(("ko", "안녕하세요."), ("ko", "반갑습니다.")).text == "안녕하세요. 반갑습니다."


def test_a_change_to_or_from_a_language_with_spaces_is_a_space() -> None:
    talk = _transcript(("zh", "你好。"), ("yue", "早晨。"), ("en", "Good morning."), ("ja", "おはよう。"))

    assert talk.text == "你好。早晨。 Good morning. おはよう。"


def test_a_translation_is_english_whatever_it_was_spoken_in() -> None:
    assert _transcript(("zh", "Hello."), ("zh", "How are you?"), task="translate").text == "Hello. How are you?"
