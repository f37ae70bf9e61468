"""Export a version's bundle as models that transformers loads by itself.

In this process: it takes seconds, and an error's own words reach whoever asked. Does not know how
(`model.export.hub.huggingface`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .huggingface import ExportedHead
    from .model_card import About


def export_heads(bundle: Path, out: Path, about: About) -> list[ExportedHead]:
    """Write a folder a head below `out`; see `model.export.hub.huggingface.export_bundle`.

    Raises:
        model.errors.ModelError: a head has no counterpart, or the folders would answer otherwise.
    """
    from ...train.fit import quiet_libraries
    from .huggingface import export_bundle

    quiet_libraries()
    return export_bundle(bundle, out, about)
