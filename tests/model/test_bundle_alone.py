"""The bundle loads with numpy, onnxruntime and tokenizers only, from a copy of one folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from model.bundle.reader import Bundle

PACKAGE = Path(__file__).resolve().parents[2] / "model" / "bundle"


ALONE_CODE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "onnx", "pandas", "pydantic", "scipy"}:
            raise ImportError("not here: " + name)
sys.meta_path.insert(0, Refuse())
from shipped.reader import Bundle
answer = Bundle.load(sys.argv[1], threads=1).predict(["sun and tea"])[0]
print(answer["topic"].labels[0], *(m for m in sys.modules if m == "model" or m.startswith("model.")))
"""


def test_it_loads_from_the_root_folder_without_the_repository_and_without_torch(
    tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    package = tmp_path / "elsewhere" / "shipped"
    shutil.copytree(PACKAGE, package)
    done = subprocess.run(
        [sys.executable, "-c", ALONE_CODE, str(tiny_bundles["float32"])],
        cwd="/",
        env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    label, *modules = done.stdout.split()
    bundle = Bundle.load(tiny_bundles["float32"], threads=1)
    assert label == bundle.predict(["sun and tea"])[0]["topic"].labels[0]
    assert not modules, "the folder that ships imports from outside itself"
