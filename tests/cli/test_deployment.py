import os
from pathlib import Path

import pytest

from services.cli.deployment import PORTS_NEEDED, SERVICES, Site, models_needed, programs, settings_for, with_ports
from services.cli.probes import GrpcHealth, HttpHealth
from services.cli.profiles import PROFILES, ProfileName

SITE = Site("127.0.0.1", 8080, Path("/data"), Path("/models"))
PORTS = list(range(20_000, 20_000 + PORTS_NEEDED))
CPU = PROFILES[ProfileName.CPU]


def settings(**environ: str) -> dict[str, str]:
    return with_ports(SITE, settings_for(SITE, CPU, environ), PORTS)


def test_the_edge_is_told_where_the_engines_listen() -> None:
    chosen = settings()
    for name in ("ASR", "DIARIZE", "SUMMARIZE"):
        assert chosen[f"SPEECHMESH_EDGE_{name}_TARGET"] == chosen[f"SPEECHMESH_{name}_LISTEN"]
    assert chosen["SPEECHMESH_EDGE_LISTEN"] == "127.0.0.1:8080"
    assert chosen["SPEECHMESH_DATABASE_URL"] == "sqlite:////data/accounts.db"
    assert chosen["SPEECHMESH_EDGE_SPOOL_DIR"] == "/data/spool"
    assert chosen["SPEECHMESH_MODELS_DIR"] == "/models"


def test_every_listener_gets_a_port_of_its_own() -> None:
    listeners = [value for name, value in settings().items() if name.endswith("_LISTEN")]
    assert len(listeners) == len(set(listeners)) == PORTS_NEEDED + 1


def test_what_the_user_has_set_wins() -> None:
    chosen = settings(
        SPEECHMESH_ASR_LISTEN="0.0.0.0:7001", SPEECHMESH_ASR_THREADS="3", SPEECHMESH_EDGE_SPOOL_DIR="/spool"
    )
    assert chosen["SPEECHMESH_ASR_LISTEN"] == "0.0.0.0:7001"
    assert chosen["SPEECHMESH_EDGE_ASR_TARGET"] == "127.0.0.1:7001"
    assert chosen["SPEECHMESH_ASR_THREADS"] == "3"
    assert chosen["SPEECHMESH_EDGE_SPOOL_DIR"] == "/spool"


def test_an_engine_that_would_take_any_port_is_given_one() -> None:
    chosen = settings(SPEECHMESH_ASR_LISTEN="127.0.0.1:0", SPEECHMESH_DIARIZE_LISTEN="[::]:7002")
    assert chosen["SPEECHMESH_EDGE_ASR_TARGET"] == chosen["SPEECHMESH_ASR_LISTEN"] == f"127.0.0.1:{PORTS[0]}"
    assert chosen["SPEECHMESH_EDGE_DIARIZE_TARGET"] == "[::1]:7002"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings(SPEECHMESH_ASR_DEVICE="")["SPEECHMESH_ASR_DEVICE"] == "cpu"


def test_chosen_models_bring_their_own_aliases_or_none() -> None:
    chosen = settings(SPEECHMESH_ASR_MODELS="tiny.en")
    assert "SPEECHMESH_ASR_ALIASES" not in chosen
    assert models_needed(chosen) == ["tiny.en", "segmentation-3.0-campplus", "qwen2.5-coder-0.5b-instruct"]


def test_programs_start_with_the_engines_and_end_with_the_front() -> None:
    planned = programs(SITE, settings())
    assert tuple(program.name for program in planned) == SERVICES
    assert [program.front for program in planned] == [False, False, False, True]
    assert planned[0].health == GrpcHealth("127.0.0.1:20000")
    assert planned[3].health == HttpHealth("http://127.0.0.1:8080/health")
    assert planned[1].argv[1:] == ("-P", "-m", "services.diarize")


def test_only_the_edge_is_told_of_the_database() -> None:
    url = "postgresql://edge:secret@db/accounts"
    told = [
        program.env.get("SPEECHMESH_DATABASE_URL") for program in programs(SITE, settings(SPEECHMESH_DATABASE_URL=url))
    ]
    assert told == [None, None, None, url]


def test_how_many_threads_a_process_takes_is_its_own_business() -> None:
    # Each takes the cores that it may use: see its settings, and runtime.threads.
    for program in programs(SITE, settings()):
        assert not {name for name in program.env if name.endswith("_THREADS")} - set(os.environ)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("mesh.local", "http://mesh.local:9000"),
    ],
)
def test_the_url_is_one_that_this_machine_can_reach(host: str, url: str) -> None:
    assert Site(host, 9000, Path("/data"), Path("/models")).url == url
