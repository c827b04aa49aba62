"""A listening test without listeners: clean speech, processing conditions, objective quality and simulated ratings.

Nothing here draws from a global random generator: every random number comes from :func:`generator`, which is named after what
it is for, so a clip is the same whichever process makes it and in whatever order.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the random generator of ``names`` under ``seed``: the same names always give the same numbers.

    >>> first, again, other = (generator(1, name).integers(1000) for name in ("a", "a", "b"))
    >>> bool(first == again), bool(first == other)
    (True, False)
    """
    digest = hashlib.sha256("\n".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
