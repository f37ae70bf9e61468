"""Writes and reads the state of a training so that it can go on after a kill at any moment.

One safetensors file holds everything: tensors, and a JSON text in its metadata. It appears whole or not at
all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import BadInput
from ..files import replacing_path


def save_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any] | None = None) -> None:
    """Write tensors and a JSON-like state to `path`, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing_path(path) as beside:
        save_file(plain, beside, metadata={"state": json.dumps(state or {})})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state from `save_tensors`.

    Raises:
        BadInput: the file is absent or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read: {error}; remove it to start anew") from error
