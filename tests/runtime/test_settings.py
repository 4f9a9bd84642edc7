from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from services.runtime.settings import (
    Address,
    Aliases,
    EngineSettings,
    Names,
    load_settings,
    parse_address,
    read_settings,
    variable,
)


class _Settings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="SPEECHMESH_TRIAL_")

    listen: Address = "127.0.0.1:0"
    names: Names = ("a",)
    aliases: Aliases = {}  # noqa: RUF012 - pydantic copies defaults


@pytest.fixture(autouse=True)
def _models_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPEECHMESH_MODELS_DIR", str(tmp_path))


def test_lists_and_pairs_are_read_from_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_TRIAL_NAMES", "base, tiny.en,")
    monkeypatch.setenv("SPEECHMESH_TRIAL_ALIASES", "large-v3=base, small = base")

    settings = load_settings(_Settings)

    assert settings.names == ("base", "tiny.en")
    assert settings.aliases == {"large-v3": "base", "small": "base"}


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECHMESH_TRIAL_NAMES", "")

    assert load_settings(_Settings).names == ("a",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPEECHMESH_TRIAL_THREADS", "none"),
        ("SPEECHMESH_TRIAL_THREADS", "0"),
        ("SPEECHMESH_TRIAL_METRICS_LISTEN", "9090"),
        ("SPEECHMESH_TRIAL_METRICS_LISTEN", "127.0.0.1:99999"),
        ("SPEECHMESH_TRIAL_ALIASES", "large-v3"),
        ("SPEECHMESH_LOG_LEVEL", "loud"),
        ("SPEECHMESH_TRIAL_THREDS", "2"),
    ],
)
def test_a_wrong_or_unknown_setting_stops_the_process_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as stopped:
        load_settings(_Settings)

    assert stopped.value.code == 2
    assert f"{name}: " in capsys.readouterr().err


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SPEECHMESH_MODELS_DIR")

    with pytest.raises(SystemExit):
        load_settings(_Settings)

    assert "SPEECHMESH_MODELS_DIR" in capsys.readouterr().err


def test_shared_settings_have_names_without_the_service() -> None:
    assert variable(_Settings, "log_level") == "SPEECHMESH_LOG_LEVEL"
    assert variable(_Settings, "threads") == "SPEECHMESH_TRIAL_THREADS"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("mesh.local:65535", ("mesh.local", 65535)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "host:", "host:65536", "host:99999", "host:-1", "::1:80", "[]:80", "a b:80", "host:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form host:port"):
        parse_address(text)


def test_settings_are_read_from_what_they_are_given() -> None:
    given = {"SPEECHMESH_MODELS_DIR": "/models", "SPEECHMESH_TRIAL_THREADS": "3", "SPEECHMESH_TRIAL_NAMES": "b,c"}

    settings = read_settings(_Settings, given)

    assert (settings.models_dir, settings.threads, settings.names) == (Path("/models"), 3, ("b", "c"))
