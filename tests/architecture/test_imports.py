"""What each process loads: no more modules than it did, and none of the libraries that its step does not use.

Modules are counted, as `-X importtime` lists them: their time depends on what else the machine does.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "sklearn", "scipy", "mlflow", "great_expectations")
HEAVY += ("matplotlib", "prefect", "datasets", "polars", "pyarrow", "pandas", "pydantic", "numpy", "fastapi")
CEILINGS: dict[str, tuple[int, tuple[str, ...]]] = {
    "flows.cli.commands": (200, ()),
    "flows.cli.prefect_server": (380, ()),
    "flows.config.load": (350, ("pydantic",)),
    "flows.check.ready": (960, ("pydantic", "numpy", "polars", "pyarrow")),
    "flows.retrain": (2000, ("prefect", "pydantic", "numpy", "polars", "pyarrow")),
    "flows.validate": (2850, ("prefect", "pydantic", "numpy", "polars", "pyarrow", "pandas", "scipy")),
    "model.__main__": (100, ()),
    "model.jobs.process": (190, ()),
    "model.measure.score": (310, ("numpy",)),
    "model.measure.cheap_answers": (310, ("numpy",)),
    "model.measure.timing": (220, ()),
    "model.measure.timing_worker": (270, ("numpy",)),
    "serving.__main__": (800, ("numpy", "pydantic", "fastapi")),
}
"""What a process imports before it does anything → most modules, and which of the heavy libraries."""


@pytest.mark.parametrize("name", CEILINGS)
def test_a_process_loads_what_it_uses(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {name}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")][1:]
    loaded = [line.split("|")[2].strip() for line in lines]
    most, allowed = CEILINGS[name]
    heavy = sorted({module.partition(".")[0] for module in loaded} & set(HEAVY) - set(allowed))
    assert not heavy, f"import {name} loads {', '.join(heavy)}"
    assert len(loaded) <= most, f"import {name} loads {len(loaded)} modules, at most {most}"


def test_the_library_of_expectations_loads_its_charts_when_one_is_drawn() -> None:
    asked = """
import sys
from expectations.data.gx.library import load_library
load_library()
assert "altair.vegalite" not in sys.modules, "it is loaded with the library"
from great_expectations.expectations.core import expect_column_kl_divergence_to_be_less_than as drawing
assert drawing.alt.Chart.__name__ == "Chart"
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
