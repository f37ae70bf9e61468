"""What can go wrong with a bundle, and the root of every error that Headgate foresees (stdlib only).

    HeadgateError
    └── ModelError
        ├── BadInput             something given cannot be used; nothing was written
        │   └── BundleError      a bundle that may not be used; the message says file or head, seen, expected
        │       ├── BundleFileError  a file is missing, extra, unreadable, or not the one of the manifest
        │       ├── CardError        card.json, golden.json or manifest.json does not hold what it must
        │       ├── GraphError       the graph cannot be loaded or does not fit the card
        │       ├── GoldenMismatch   the golden texts are answered differently from when the bundle was made
        │       └── NonFiniteOutput  a logit is infinite or not a number
        └── TextError            a text that cannot be read (not a string, or a lone surrogate in it)

Messages name files, lines, heads and fields; they never hold a text of the data, nor a password or token.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from .masking import masked

ErrorKind = Literal["usage", "data", "other"]
"""What has to be corrected. `usage`: the configuration or what it names. `data`: a source. `other`: a
process, the registry, the endpoint or the disk failed; its message is shown."""


class HeadgateError(Exception):
    """Any failure that Headgate foresees: its message names the place, what was seen, what was expected and
    what to do, and is shown without a traceback. Passwords and tokens in it are masked: it may quote a
    library that quotes an address."""

    kind: ClassVar[ErrorKind] = "other"

    def __init__(self, *args: object) -> None:
        super().__init__(*(masked(arg) if isinstance(arg, str) else arg for arg in args))


class ModelError(HeadgateError):
    """Any failure that `model` foresees; its message says how to correct it."""

    kind = "usage"


class BadInput(ModelError):
    """Something given to `model` cannot be used; nothing was written."""


class BundleError(BadInput):
    """A bundle that may not be used."""


class BundleFileError(BundleError):
    """A file of the bundle is missing, extra, unreadable, or differs from the manifest."""


class CardError(BundleError):
    """A JSON file of the bundle does not hold what it must."""


class GraphError(BundleError):
    """The graph cannot be loaded or does not fit the card."""


class GoldenMismatch(BundleError):
    """An answer to a golden text differs from the stored one."""


class NonFiniteOutput(BundleError):
    """A logit is infinite or not a number."""


class TextError(ModelError):
    """A text that cannot be read. The message gives its place in the request, never the text."""
