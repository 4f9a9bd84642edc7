import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.accounts.plans import ANONYMOUS, SIGN_UP, Funding, Plan, Plans, Unit, load_plans
from services.runtime.errors import Fault, MeshError


def own(tmp_path: Path, text: str) -> Plans:
    path = tmp_path / "plans.toml"
    path.write_text(text, encoding="utf-8")
    return load_plans(path)


def test_the_plans_of_the_file_are_those_of_the_price_list() -> None:
    plans = load_plans()

    anonymous, free, paid, unlimited = (plans.get(name) for name in ("anonymous", "free", "paid", "unlimited"))
    assert (anonymous.unit, anonymous.period, anonymous.amount, anonymous.at_once) == ("uses", "day", 3, 1)
    assert (free.unit, free.period, free.amount, free.at_once) == ("minutes", "month", 600, 2)
    assert (paid.funding, paid.unit, paid.at_once) == ("credits", "minutes", 5)
    assert (unlimited.funding, unlimited.at_once) == ("open", 0)


def test_no_account_gets_a_plan_of_those_without_one() -> None:
    plans = load_plans()

    assert plans.for_accounts() == ["free", "paid", "unlimited"]
    for plan_id in (ANONYMOUS, SIGN_UP, "gold"):
        with pytest.raises(MeshError, match=r"must be one of: free, paid, unlimited\.") as caught:
            plans.choose(plan_id)
        assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "plan")


def test_a_deployment_replaces_a_plan_and_adds_another(tmp_path: Path) -> None:
    plans = own(
        tmp_path,
        """
        [plans.free]
        funding = "allowance"
        unit = "minutes"
        period = "day"
        amount = 0
        max_file_bytes = 1
        at_once = 1

        [plans.gold]
        funding = "credits"
        unit = "minutes"
        max_file_bytes = 1
        at_once = 9
        """,
    )

    assert plans.get("free").amount == 0
    assert plans.choose("gold").at_once == 9
    assert plans.get("paid") == load_plans().get("paid")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[plans.free", "cannot be used"),
        ("[free]\nunit = 'minutes'", "holds tables"),
        ("plans = 3", "holds tables"),
        ("[plans]\nfree = 3", "holds tables"),
        ("[plans.free]\nfunding = 'credits'", r"plans\.free\.unit"),
        ("[plans.free]\nfunding = 'gift'\nunit = 'minutes'\nmax_file_bytes = 1\nat_once = 1", r"plans\.free\.funding"),
        ("[plans.Free]\nfunding = 'open'\nunit = 'minutes'\nmax_file_bytes = 1\nat_once = 1", r"plans\.Free\.id"),
        (
            "[plans.free]\nfunding = 'open'\nunit = 'minutes'\nmax_file_bytes = 1\nat_once = 1\nprice = 3",
            r"plans\.free\.price",
        ),
        (
            "[plans.free]\nfunding = 'allowance'\nunit = 'minutes'\nmax_file_bytes = 1\nat_once = 1",
            r"plans\.free: 'period' and 'amount' go with",
        ),
        (
            "[plans.free]\nfunding = 'credits'\nunit = 'minutes'\namount = 3\nmax_file_bytes = 1\nat_once = 1",
            r"plans\.free: 'period' and 'amount' go with",
        ),
        ("[plans.free]\nfunding = 'credits'\nunit = 'uses'\nmax_file_bytes = 1\nat_once = 1", "credits are minutes"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(MeshError, match=complaint) as caught:
        own(tmp_path, text)
    assert (caught.value.fault, caught.value.field) == (Fault.INVALID, "plans_file")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="No such file"):
        load_plans(tmp_path / "none.toml")
    (tmp_path / "plans.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MeshError, match="cannot be used"):
        load_plans(tmp_path / "plans.toml")


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_plans().get("free").amount = 700  # type: ignore[misc]


@pytest.mark.parametrize(
    ("seconds", "minutes", "uses"), [(0.0, 0, 0), (-1.0, 0, 0), (0.1, 1, 1), (60.0, 1, 1), (60.1, 2, 1), (3600, 60, 1)]
)
def test_begun_minutes_count_whole_and_a_use_is_one_however_long(seconds: float, minutes: int, uses: int) -> None:
    assert Unit.MINUTES.cost(seconds) == minutes
    assert Unit.USES.cost(seconds) == uses


@given(st.floats(0, 1e6), st.sampled_from(Unit))
def test_what_audio_costs_covers_it_and_one_less_would_not(seconds: float, unit: Unit) -> None:
    cost = unit.cost(seconds)

    assert unit.covered_seconds(cost) >= seconds
    if cost:
        assert unit.covered_seconds(cost - 1) < seconds


def test_nothing_reserved_covers_nothing_and_a_use_covers_everything() -> None:
    assert [unit.covered_seconds(0) for unit in Unit] == [0.0, 0.0]
    assert Unit.USES.covered_seconds(1) == math.inf


def test_an_open_plan_needs_no_amount() -> None:
    plan = Plan(id="open", funding=Funding.OPEN, unit=Unit.USES, max_file_bytes=1, at_once=0)
    assert plan.amount is None
