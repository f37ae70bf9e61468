"""An engine that tests move by hand."""

from __future__ import annotations

from typing import Any

from serving.http.engine import Engine
from serving.http.loading import Trial


def engine_of(shop: Any, max_answer_ms: float = 1000.0, **options: Any) -> Engine:
    """An engine that is moved by hand: `look` instead of its thread."""
    trial = Trial(threads=1, max_answer_ms=max_answer_ms)
    return Engine(shop.folder, shop.public_key, trial=trial, **options)
