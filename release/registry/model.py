"""A bundle as an MLflow model on disk: entry file, reading code, signature, example, pinned requirements.

Loadable with `mlflow.pyfunc.load_model` and servable with `mlflow models serve`; no pickle. Does not
know runs or versions.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.bundle.card import PROFILES
from release.registry import shipped_code as bundle_code

REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "tokenizers")
"""All that a registered version needs to answer, pinned to what it was made with."""


def save(bundle: Path, folder: Path, code: Path, about: Any) -> None:
    """Write the MLflow model of `bundle` to `folder`, which is made.

    Args:
        bundle: bundle folder, named `bundle`.
        folder: where to write to.
        code: an empty folder for the package that is shipped.
        about: `mlflow.models.Model` to complete, with run and model id.
    """
    import pandas as pd

    card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    package = bundle_code.write_package(code)
    # MLflow advises on type hints and on the environment; the signature and the requirements replace both.
    talkative = [logging.getLogger(name) for name in ("mlflow.pyfunc", "mlflow.models.model")]
    levels = [logger.level for logger in talkative]
    for logger in talkative:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"mlflow\..*")
            warnings.filterwarnings("ignore", message=".*type hint.*")
            import mlflow.pyfunc

            mlflow.pyfunc.save_model(
                path=str(folder),
                mlflow_model=about,
                python_model=str(Path(__file__).with_name("model_entry.py")),
                model_config={"package": package.name},
                artifacts={"bundle": str(bundle)},
                code_paths=[str(package)],
                signature=signature(list(card["heads"])),
                input_example=pd.DataFrame({"text": golden["texts"][:2]}),
                pip_requirements=[f"{name}=={version(name)}" for name in _required(card)],
            )
    finally:
        for logger, level in zip(talkative, levels, strict=True):
            logger.setLevel(level)


def _required(card: Mapping[str, Any]) -> list[str]:
    """The packages that a bundle with this card needs to answer as it was judged."""
    return sorted({*REQUIREMENTS, PROFILES[card["precision"]].engine})


def signature(heads: Sequence[str]) -> Any:
    """Column `text` in; a column a head out, each with the labels chosen and their probabilities."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    entry = Object([Property("label", DataType.string), Property("probability", DataType.double)])
    answer = Object(
        [Property("labels", Array(entry)), Property("probabilities", Array(entry), required=False)]
    )
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "text")]),
        outputs=Schema([ColSpec(answer, head) for head in heads]),
        params=ParamSchema([ParamSpec("all", DataType.boolean, False)]),
    )
