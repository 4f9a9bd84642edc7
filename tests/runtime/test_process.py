import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_PROGRAM = """
import threading
from pydantic_settings import SettingsConfigDict
from services.runtime.process import begin, run_grpc
from services.runtime.settings import EngineSettings

class Settings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="TRIAL_")

settings = begin("trial", Settings)
print("threads", __import__("os").environ["OMP_NUM_THREADS"], flush=True)
run_grpc(settings, "trial.v1.Trial", register=lambda server: None, load=%s)
"""


def _run(load: str, **environ: str) -> "subprocess.Popen[str]":
    settings = {"TRIAL_LISTEN": "127.0.0.1:0", "SPEECHMESH_MODELS_DIR": "/nowhere", "TRIAL_THREADS": "3", **environ}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM % load],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "PATH": os.environ["PATH"], **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_reads_its_settings_calms_its_threads_and_ends_on_sigterm() -> None:
    with _run("lambda: None") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "threads 3\n"
        while "serving" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


def test_a_model_that_hangs_while_loading_does_not_hold_up_the_end() -> None:
    with _run("threading.Event().wait") as process:
        assert process.stderr is not None
        while "listening" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


def test_wrong_settings_end_the_process_with_a_sentence() -> None:
    with _run("lambda: None", TRIAL_THREADS="many") as process:
        _, complaint = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "TRIAL_THREADS" in complaint
