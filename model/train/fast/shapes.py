"""To how many tokens texts are padded: few lengths, so that few shapes occur.

Every shape of a product has code and buffers of its own that the CPU's library makes at its first call and
keeps: with every length a shape, a training held gigabytes of them. In float32 a CPU's products keep nothing,
and texts are padded to the longest of their batch. Pure functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...spec import ComputePrecision

LENGTHS_AN_OCTAVE = 8
"""Different lengths between a power of two and the next, at most. 8: 3% of the tokens of short texts are
padding; 4 would be 6%."""
SMALLEST_STEP = 2


def padded_lengths(lengths: NDArray[np.int64], most: int, precision: ComputePrecision) -> NDArray[np.int64]:
    """(N,) to how many tokens each text is padded at least, where products are of `precision`."""
    return lengths if precision == "float32" else shape_lengths(lengths, most)


def shape_lengths(lengths: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """(N,) the lengths that texts of `lengths` tokens are padded to: multiples of 2 up to 32, of 4 up to 64,
    of 8 up to 128 and so on; never more than `most`, the longest that the encoder is given."""
    octave = np.floor(np.log2(np.maximum(lengths - 1, 1))).astype(np.int64)
    step = np.maximum(SMALLEST_STEP, 2**octave // LENGTHS_AN_OCTAVE)
    rounded: NDArray[np.int64] = np.maximum(-(-lengths // step) * step, SMALLEST_STEP)
    return np.maximum(np.minimum(rounded, most), lengths)
