"""What the bundle's card and tokenizer take from a fitted folder. Does not know graphs."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer

from ..bundle.card import METRICS, HeadCard
from ..errors import BadInput
from ..spec import HeadSpec
from ..train.network import FittedModel


def head_cards(model: FittedModel) -> dict[str, HeadCard]:
    """Head → its card, with the temperature and the thresholds of its calibration.

    Raises:
        BadInput: a head has no calibration, or an unknown metric.
    """
    return {name: _head_card(name, head, model) for name, head in model.heads.items()}


def _head_card(name: str, head: HeadSpec, model: FittedModel) -> HeadCard:
    calibration = model.calibration.get(name)
    if not isinstance(calibration, Mapping):
        raise BadInput(f"calibration.json: no head {name!r}; fit again")
    thresholds = calibration.get("thresholds")
    if head.primary_metric not in METRICS:
        raise BadInput(
            f"network.json: head {name!r}: seen metric {head.primary_metric!r}, expected one of "
            f"{', '.join(METRICS)}; fit again"
        )
    return HeadCard(
        kind=head.kind,
        labels=head.labels,
        temperature=float(calibration["temperature"]),
        thresholds=None if thresholds is None else tuple(float(x) for x in thresholds),
        metric=head.primary_metric,
    )


def bundle_tokenizer(model: FittedModel) -> bytes:
    """`tokenizer.json` of the bundle: the fitted tokenizer, cutting at `max_length` and naming its padding
    token.

    Raises:
        BadInput: it cannot be read, or no token has the padding id.
    """
    try:
        tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    except Exception as error:  # tokenizers raises bare Exception
        raise BadInput(f"{model.tokenizer_path}: cannot be read as a tokenizer: {error}") from error
    padding = tokenizer.id_to_token(model.pad_token_id)
    if padding is None:
        raise BadInput(f"{model.tokenizer_path}: no token has the id {model.pad_token_id}, expected padding")
    tokenizer.enable_truncation(model.max_length)
    tokenizer.enable_padding(pad_id=model.pad_token_id, pad_token=padding)
    text: str = tokenizer.to_str()
    return text.encode("utf-8")
