from services.asr.engine import LONGEST_WINDOW_SECONDS
from services.asr.windows import ENCODED_SECONDS, WindowRules, fitting_seconds


def test_no_window_is_encoded_longer_than_the_model_was_trained_on() -> None:
    rules = WindowRules()

    assert max(ENCODED_SECONDS) == LONGEST_WINDOW_SECONDS
    assert fitting_seconds(rules.longest + 2 * rules.margin) < LONGEST_WINDOW_SECONDS
