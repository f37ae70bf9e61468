"""What the endpoint's process imports: it starts fast and stays small."""

from __future__ import annotations

import subprocess
import sys


def test_endpoint_needs_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "prefect", "mlflow", "pandas", "great_expectations", "scipy", "pyarrow"]
    code = f"import sys, serving.__main__; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
