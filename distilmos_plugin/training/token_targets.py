"""What the token loss learns from: the tokens of the training set and the code book that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TokenError, TrainingError
from distilmos_plugin.files import file_digest
from distilmos_plugin.tokens.codebook import FILE, CodeBook
from distilmos_plugin.tokens.extract import ARCHIVE, read_tokens
from distilmos_plugin.tokens.stages import CODEBOOK
from distilmos_plugin.upstreams.upstream import Upstream


@dataclass(frozen=True)
class TokenTargets:
    """What the token loss learns from.

    Attributes:
        codebook: that made them.
        tokens: key -> ids ``[frames, layers]``.
        digest: of the archive.
    """

    codebook: CodeBook
    tokens: Mapping[str, np.ndarray]
    digest: str

    @classmethod
    def read(cls, config: Config, folder: str | Path | None) -> TokenTargets | None:
        """Open the tokens; None if the objective has no token loss.

        Args:
            config: of the experiment.
            folder: what ``distilmos tokens extract`` wrote, with the code book that it used.

        Raises:
            TrainingError: if there is a token loss and no folder.
            TokenError: if the tokens or the code book are missing or damaged.
        """
        weight = config.loss_conf.token_weight
        if weight == 0:
            return None
        if folder is None:
            raise TrainingError(
                f"loss_conf: token_weight is {weight:g}, but no tokens are given; make them (run.sh stages 2 and 3), "
                "or set it to 0"
            )
        tokens = read_tokens(folder)
        codebook = CodeBook.load(Path(folder) / CODEBOOK / FILE)
        if tokens.codebook != codebook.digest:
            raise TokenError(f"{folder}: the code book has changed since the tokens were extracted; extract them again")
        return cls(codebook, tokens, file_digest(Path(folder) / ARCHIVE)[:16])

    def check(self, upstream: Upstream) -> None:
        """Refuse tokens of another teacher than the upstream before training; it may have had more layers than are kept.

        Raises:
            TokenError: naming both.
        """
        rate = upstream.sample_rate / upstream.hop
        book = self.codebook
        if (book.upstream_digest, book.rate) != (upstream.digest, rate):
            raise TokenError(
                f"the tokens are of upstream {book.upstream} ({book.upstream_digest}) at {book.rate:g} Hz, "
                f"training starts from {upstream.name} ({upstream.digest}) at {rate:g} Hz; make them again "
                "(run.sh stages 2 and 3)"
            )
