"""Prediction of the mean opinion score (MOS) of speech without a reference.

>>> import distilmos_plugin as dm
>>> predictor = dm.load("mini")                     # doctest: +SKIP
>>> predictor.score("a.wav").mos                    # doctest: +SKIP

Nothing heavy is imported here: torch and s3prl come with the first model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilmos_plugin.scoring.ensemble import Ensemble
    from distilmos_plugin.scoring.predictor import Predictor
    from distilmos_plugin.scoring.results import Score

__version__ = "0.1.0"
__all__ = ["__version__", "load", "score"]

DEFAULT_MODEL = "mini"


def load(model: str = DEFAULT_MODEL, device: str = "auto", precision: str = "fp32") -> Predictor | Ensemble:
    """Load a model once, to score with it often.

    Args:
        model: bundled name; a folder, such as ``exp/<experiment>/model``; ``hf:owner/repository[/folder][@revision]``;
            ``official:wavlm`` or ``official:w2v2``, the DistilMOS authors' checkpoints.
        device: ``auto`` (CUDA, else Apple's MPS, else CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``fp32``, or ``bf16`` (about twice as fast; scores then differ by some hundredths with the batch).

    Raises:
        ModelError: if there is no such model, or it is damaged.
    """
    from distilmos_plugin.scoring import models

    return models.load(model, device, precision)


def score(source: Any, sample_rate: int | None = None, model: str = DEFAULT_MODEL) -> Score:
    """Score one clip; see :meth:`distilmos_plugin.scoring.predictor.Predictor.score`.

    The model is loaded by the first call and kept.
    """
    from distilmos_plugin.scoring import models

    return models.cached(model).score(source, sample_rate)
