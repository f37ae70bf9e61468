"""A flow that is interrupted ends within seconds, whoever else got the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.interrupts import CLEANING_S

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = """
import signal, time
import flows.cli.interrupts
flows.cli.interrupts.CLEANING_S = 1.0
with flows.cli.interrupts.ended_in_time():
    signal.signal(signal.{name}, lambda number, frame: print("heard", flush=True))  # as Prefect does
    print("ready", flush=True)
    for _ in range(600):
        time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whatever_hears_the_signal_the_process_ends(number: signal.Signals) -> None:
    command = [sys.executable, "-c", STUBBORN.format(name=number.name)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sent_s = time.monotonic()
        process.send_signal(number)
        assert process.stdout.readline() == "heard\n", "the block went on, as it does within Prefect"
        assert process.wait(30) == 128 + number
        assert time.monotonic() - sent_s >= 1.0, "time to clean up"


def test_a_block_that_ends_leaves_no_deadline() -> None:
    code = "import flows.cli.interrupts as i\ni.CLEANING_S = 0\nwith i.ended_in_time():\n    pass\n"
    code += "import signal, os, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
    code += "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.5)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(400)  # imports torch and starts Prefect's server, on a busy machine
def test_a_flow_ends_although_its_server_got_the_signal_too(
    two_heads: Callable[..., Path], tmp_path: Path
) -> None:
    """As Ctrl-C and service managers do it: all processes at once."""
    command = [
        sys.executable,
        "-m",
        "flows.cli.commands",
        "retrain",
        str(two_heads(deploy={"port": 0})),
        "--home",
        str(tmp_path / "home"),
    ]
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
    try:
        while "baseline" not in log.read_text() and process.poll() is None:
            time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        sent_s = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(CLEANING_S + 60) == 128 + signal.SIGTERM, log.read_text()[-2000:]
        assert time.monotonic() - sent_s < CLEANING_S + 20
        assert "EventsWorker" not in log.read_text() and "ERROR" not in log.read_text(), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
