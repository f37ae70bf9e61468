"""Each engine answers as it was judged, or says that it can't here and lets the safe one answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model.bundle.card import PRECISIONS, PROFILES
from model.bundle.reader import Bundle
from model.export.precision import neighbours
from tests.support.tiny_models import bundle_in

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["sun rain", "cat", "tea milk bread soup " * 12, "Fox! dogs?"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bundle_answers_in_the_engine_that_its_card_names(
    tiny_bundles: dict[str, Path], precision: str
) -> None:
    bundle = Bundle.load(bundle_in(tiny_bundles, precision), threads=1)
    profile, serving = PROFILES[bundle.card.precision], bundle.serving
    assert (serving.precision, serving.engine, serving.compute) == (
        precision,
        profile.engine,
        profile.compute,
    )
    assert not serving.unfit
    exact = Bundle.load(tiny_bundles["float32"], threads=1).probabilities(TEXTS)
    for head, values in bundle.probabilities(TEXTS).items():
        assert np.abs(values - exact[head]).max() < (1e-5 if "float32" in precision else 0.03)


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if PROFILES[name].engine == "openvino"])
def test_without_its_engine_the_safe_one_answers_and_says_so(
    tiny_bundles: dict[str, Path], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle_in(tiny_bundles, precision)
    as_judged = Bundle.load(folder, threads=1).probabilities(TEXTS)
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    safe = Bundle.load(folder, threads=1)  # and its golden answers hold
    assert safe.serving.unfit == "openvino is not installed here"
    assert (safe.serving.engine, safe.serving.compute) == ("onnxruntime", "float32")
    assert safe.card.precision == precision
    for head, values in safe.probabilities(TEXTS).items():
        assert np.abs(values - as_judged[head]).max() < 0.03


@pytest.mark.parametrize("precision", PRECISIONS)
def test_neighbours_in_a_batch_change_nothing(tiny_bundles: dict[str, Path], precision: str) -> None:
    """One scale for all activations of a batch would move a probability by 0.1 and more."""
    bundle = Bundle.load(bundle_in(tiny_bundles, precision), threads=1)
    many = [*TEXTS, *(" ".join(["rain", "milk", "dogs"] * count) for count in range(1, 9))]
    together = bundle.run(bundle.encode(many))
    most = 0.01 if PROFILES[bundle.card.precision].compute == "bfloat16" else 1e-4
    for at, text in enumerate(many):
        for head, alone in bundle.run(bundle.encode([text])).items():
            assert np.abs(alone[0] - together[head][at]).max() < most, text
    assert neighbours(bundle, many) < most


@pytest.mark.parametrize("precision", PRECISIONS)
def test_how_many_threads_and_runs_share_the_texts_changes_nothing(
    tiny_bundles: dict[str, Path], precision: str
) -> None:
    """Scoring lets each thread answer a run of its own; the endpoint lets them divide one."""
    folder = bundle_in(tiny_bundles, precision)
    many = [f"{text} " * (at % 7 + 1) for at in range(60) for text in TEXTS]
    one, divided, beside = (
        Bundle.load(folder, threads=threads, at_once=at_once).probabilities(many)
        for threads, at_once in ((1, 1), (2, 1), (1, 2))
    )
    for head, values in one.items():
        assert np.abs(divided[head] - values).max() < 1e-5
        assert np.abs(beside[head] - values).max() < 1e-5


def test_a_run_that_fails_beside_others_fails_the_call(tiny_bundles: dict[str, Path]) -> None:
    bundle = Bundle.load(tiny_bundles["float32"], threads=1, at_once=2)
    ids = bundle.token_ids(["sun rain"] * 100)
    with pytest.raises(Exception, match=r"(?i)index|indices|range|gather|invalid"):
        bundle.logits_of([*ids, [10**9]])


SAFE_CODE = """
import json, sys
from model.bundle.reader import Bundle
serving = Bundle.load(sys.argv[1], threads=1).serving
print(json.dumps([serving.engine, serving.compute, serving.unfit]))
"""


def test_a_processor_without_bfloat16_answers_in_float32(tiny_bundles: dict[str, Path]) -> None:
    """OpenVINO is kept to what AVX2 has."""
    folder = bundle_in(tiny_bundles, "openvino_bfloat16")
    done = subprocess.run(
        [sys.executable, "-c", SAFE_CODE, str(folder)],
        cwd=ROOT,
        env={**os.environ, "OV_CPU_MAX_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        "onnxruntime",
        "float32",
        "this processor does not multiply in bfloat16",
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_share_a_bundle(tiny_bundles: dict[str, Path], precision: str) -> None:
    bundle = Bundle.load(bundle_in(tiny_bundles, precision), threads=1)
    alone = [bundle.probabilities([text]) for text in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda at: (at, bundle.probabilities([TEXTS[at]])), [0, 1, 2, 3] * 20))
    for at, answered in found:
        for head, values in answered.items():
            assert np.array_equal(values, alone[at][head])


QUIET_CODE = """
import sys, time
seen = []
def note(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        seen.append(event)
    if event == "subprocess.Popen" or event == "os.fork":
        seen.append(event)
sys.addaudithook(note)
from model.bundle.reader import Bundle
bundle = Bundle.load(sys.argv[1], threads=1)
assert bundle.serving.engine == "openvino"
time.sleep(0.5)
print(seen)
"""


def test_openvino_tells_nobody_and_writes_nothing(tiny_bundles: dict[str, Path], tmp_path: Path) -> None:
    """Its tools would tell a collector of every import, and keep an identity in the user's folder."""
    folder = bundle_in(tiny_bundles, "openvino_float32")
    without_ci = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-c", QUIET_CODE, str(folder)],
        cwd=ROOT,
        env={**without_ci, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert not list(tmp_path.iterdir())
