"""What the endpoint's process imports: it starts fast and stays small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_endpoint_needs_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "prefect", "mlflow", "pandas", "great_expectations", "scipy", "pyarrow"]
    code = f"import sys, serving.__main__; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


ROOT = Path(__file__).resolve().parents[2]
PINS = (ROOT / "deploy" / "serving.txt").read_text(encoding="utf-8").split()
ALONE = """
import importlib, importlib.metadata, pkgutil, sys

few = set(sys.argv[1:]) | {"headgate"}

def named(distribution):
    return distribution.lower().replace("_", "-")

absent = {
    module
    for module, of in importlib.metadata.packages_distributions().items()
    if not {named(one) for one in of} & few
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import serving, model.bundle
modules = [
    module.name
    for package in (serving, model.bundle)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]
for name in [*modules, "flows.cli.commands", "flows.cli.console", "onnxruntime", "tokenizers", "openvino"]:
    if name.rpartition(".")[2] != "__main__":
        importlib.import_module(name)
print(len(modules))
"""


def test_an_endpoint_needs_only_what_its_list_of_packages_names() -> None:
    """`deploy/serving.txt` picks a tenth of the lock (docs/endpoint.md)."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    for pin in PINS:
        assert [line for line in lock if re.match(pin, line)], f"{pin} is not in requirements.lock"
    names = [pin.strip("^=") for pin in PINS]
    done = subprocess.run([sys.executable, "-c", ALONE, *names], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
