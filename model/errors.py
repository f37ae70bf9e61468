"""What can go wrong in `model`, as an exception tree (stdlib only).

    ModelError
    ├── BadInput            a job, rows folder, fitted folder or option that cannot be used (exit code 2)
    │   └── BackboneError   the pretrained encoder is absent, unreachable, damaged or of the wrong kind
    └── TrainingDiverged    the loss became infinite or not a number

Messages name files, lines, heads and fields; they never hold a text of the data.
"""

from __future__ import annotations


class ModelError(Exception):
    """Any failure that `model` foresees; its message says what to do."""


class BadInput(ModelError):
    """Something given to `model` cannot be used; nothing was written."""


class BackboneError(BadInput):
    """The pretrained encoder cannot be used."""


class TrainingDiverged(ModelError):
    """The loss is no longer a finite number; the message names the step and the rows."""
