"""What MLflow runs when a registered version is loaded: a thin entry around the bundle beside it.

Shipped as a file with each version (models from code, nothing pickled) and executed by MLflow, so it
imports nothing of Headgate but the package shipped with it, whose name is in the model's configuration.
Answers as the endpoint's `POST /invocations` does.
"""

from __future__ import annotations

import importlib
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

DECIMALS = 6


class RegisteredModel(PythonModel):
    """Texts in, for every head the labels with their probabilities out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle, which checks its files, its graph and its golden answers.

        Raises:
            BundleError: it may not be used; of the shipped package's module `errors`.
        """
        reader = importlib.import_module(f"{context.model_config['package']}.reader")
        self._bundle = reader.Bundle.load(context.artifacts["bundle"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,  # of all types, the one that MLflow does not take for a schema
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """One mapping head → answer a text.

        Args:
            context: given by MLflow.
            model_input: a table with the column `text`.
            params: `{"all": true}` also gives every label's probability.
        """
        texts = [str(text) for text in model_input["text"]]
        everything = bool((params or {}).get("all", False))
        return [
            {head: _plain(answer, everything) for head, answer in row.items()}
            for row in self._bundle.predict(texts)
        ]


def _plain(answer: Any, everything: bool) -> dict[str, Any]:
    ranked = sorted(answer.probabilities.items(), key=lambda item: -item[1])
    entries = [{"label": label, "probability": round(float(p), DECIMALS)} for label, p in ranked]
    plain = {"labels": [entry for entry in entries if entry["label"] in answer.labels]}
    return {**plain, "probabilities": entries} if everything else plain


mlflow.models.set_model(RegisteredModel())
