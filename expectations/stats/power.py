"""What a number of rows can decide: the margin that they certify, and the rows that a margin asks for.

Plans for a model that is truly as good as its baseline: that is the case a gate should let through.
The power of a non-inferiority test there is Φ(margin / s.e. - z_confidence); so the margin certified
with a given power is (z_confidence + z_power) · s.e., and the standard error falls with the root of the
rows (Nam 1997, Biometrics 53, 1422–1430, for matched pairs).
"""

from __future__ import annotations

import math

from scipy.stats import norm


def certifiable_margin(standard_error: float, *, confidence: float, power: float) -> float:
    """Smallest margin that an equally good model would pass with probability `power`.

    Args:
        standard_error: of the difference, on the rows at hand.
        confidence: of the one-sided bound.
    """
    return (float(norm.ppf(confidence)) + float(norm.ppf(power))) * standard_error


def rows_needed(
    n: int,
    standard_error: float,
    margin: float,
    *,
    confidence: float,
    power: float,
    difference: float = 0.0,
) -> int | None:
    """Rows for a model to pass `margin` with probability `power`, given what `n` rows showed.

    Args:
        difference: how far the model truly is from the other one; 0: an equally good one.

    Returns:
        None where the difference is at the margin or beyond: no number of rows makes it pass.

    Raises:
        ValueError: the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin {margin}: expected a positive one; no number of rows certifies less")
    room = margin + difference
    if not room > 0:
        return None
    certified = certifiable_margin(standard_error, confidence=confidence, power=power)
    return max(1, math.ceil(n * (certified / room) ** 2))
