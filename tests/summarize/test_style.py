from services.summarize.style import Style


def test_two_styles_are_lists() -> None:
    assert {style for style in Style if style.is_list} == {Style.ACTION_ITEMS, Style.BULLET_POINTS}
