"""The network of ``tiny``, its masked prediction objective, its targets and its file.

HuBERT (Hsu et al. 2021): spans of the projected convolution output are replaced by a learned vector, and the network names the
k-means code of each hidden frame. The classes of the network are those of s3prl's WavLM, so what is saved here is read by
s3prl's own ``wavlm_local``.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from scipy import fft
from torch import Tensor, nn
from torch.nn import functional as F

from distilmos_plugin.files import atomic_write

SAMPLE_RATE = 16000  # Hz
WINDOW, HOP = 400, 320  # samples; the receptive field and the stride of the convolutions, so codes and frames agree
NUM_MELS, NUM_CEPSTRA, FFT_SIZE = 40, 13, 512
# Spans start so often that they would cover 65 % without overlap, as in HuBERT. A span is 6 frames, 120 ms, where HuBERT has
# 10: so small a network has little to say about what lies further from its neighbours.
MASK_SHARE, MASK_SPAN = 0.65, 6
MFCC_WEIGHTS = (1.0, 0.5, 0.25)  # of the standardised coefficients, first and second differences in the distance of k-means
VISIBLE_WEIGHT = 0.2  # of the loss on frames that are not hidden
SPECTRUM_WEIGHT = 0.3  # of the squared error of the log-mel spectrum, beside the loss of the codes
LOG_MEL_SCALE = 3.0  # about the standard deviation of a speech clip's log-mel spectrum

# Narrow early layers keep the cost of the convolutions, which run at up to 3.2 kHz, below that of the transformer.
ARCHITECTURE = {
    "extractor_mode": "default",
    "conv_feature_layers": "[(32,10,5), (32,3,2), (64,3,2), (64,3,2), (128,3,2), (128,2,2), (128,2,2)]",
    "conv_bias": False,
    "encoder_layers": 5,
    "encoder_embed_dim": 144,
    "encoder_ffn_embed_dim": 432,
    "encoder_attention_heads": 4,
    "conv_pos": 32,
    "conv_pos_groups": 4,
    "layer_norm_first": False,
    "normalize": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "num_buckets": 160,
    "max_distance": 800,
    "feature_grad_mult": 1.0,
    # So small a network underfits; dropout would only cost time (and on a CPU a third of it).
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
}
DIM, LAYERS = ARCHITECTURE["encoder_embed_dim"], ARCHITECTURE["encoder_layers"]


def build_wavlm(seed: int) -> nn.Module:
    """Return a WavLM of this architecture with random weights; draws from torch's generator, seeded here."""
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch: the old form of weight_norm
        return WavLM(WavLMConfig(ARCHITECTURE))


def save_wavlm(model: nn.Module, path: Path) -> None:
    """Write ``{"cfg", "model"}`` in float16; s3prl's loader copies it into float32 parameters."""
    weights = {name: value.half() for name, value in model.state_dict().items()}
    with atomic_write(path, "wb") as file:
        torch.save({"cfg": dict(vars(model.cfg)), "model": weights}, file)


def load_wavlm(path: Path) -> nn.Module:
    """Return the network of :func:`save_wavlm` in float32."""
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    saved = torch.load(path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = WavLM(WavLMConfig(saved["cfg"]))
    model.load_state_dict(saved["model"])
    return model


def front(model: nn.Module, waveforms: Tensor) -> Tensor:
    """Convolutions and projection: [batch, time] -> [batch, frames, dim]."""
    features = model.layer_norm(model.feature_extractor(waveforms).transpose(1, 2))
    return model.post_extract_proj(features)


def hidden_state(model: nn.Module, waveforms: Tensor, layer: int) -> Tensor:
    """State after ``layer`` transformer layers, 1 to LAYERS: [batch, time] -> [batch, frames, dim]."""
    return model.encoder(front(model, waveforms), layer=layer - 1)[0]


def all_hidden_states(model: nn.Module, waveforms: Tensor) -> list[Tensor]:
    """Input of the first layer and the output of every layer, each [batch, frames, dim]."""
    _, results = model.encoder(front(model, waveforms), layer=LAYERS - 1)
    return [state.transpose(0, 1) for state, _ in results]


class MaskedPrediction(nn.Module):
    """WavLM with a linear classifier of codes on its output and a linear image of the spectrum on its convolutions.

    The spectrum is that of the input itself, with all its degradations. It teaches the convolutions what raw samples hold in a
    few minutes, where masked prediction alone would need hours, and keeps what MOS prediction needs to hear.

    Args:
        model: a WavLM.
        codes: number of k-means codes.
    """

    def __init__(self, model: nn.Module, codes: int) -> None:
        super().__init__()
        self.wavlm = model
        self.classifier = nn.Linear(DIM, codes)
        self.spectrum = nn.Linear(DIM, NUM_MELS)

    def spectrum_loss(self, states: Tensor, waveforms: Tensor) -> Tensor:
        """Mean squared error of the log-mel spectrum, from the output of :func:`front`."""
        return F.mse_loss(self.spectrum(states), log_mel(waveforms) / LOG_MEL_SCALE)

    def forward(self, waveforms: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return (loss, accuracy on hidden frames).

        Args:
            waveforms: [batch, time].
            targets: codes [batch, frames].
            mask: bool [batch, frames], True where a frame is hidden.
        """
        states = front(self.wavlm, waveforms)
        spectrum_loss = self.spectrum_loss(states, waveforms)
        states = torch.where(mask.unsqueeze(-1), self.wavlm.mask_emb, states)
        logits = self.classifier(self.wavlm.encoder(states)[0])
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        weights = torch.where(mask, 1.0, VISIBLE_WEIGHT)
        hit = (logits.argmax(-1) == targets)[mask].float().mean()
        return (loss * weights).sum() / weights.sum() + SPECTRUM_WEIGHT * spectrum_loss, hit


def share_parameters(source: nn.Module, target: nn.Module) -> None:
    """Make ``target``, of the same structure, use the very parameters of ``source``."""
    for name, parameter in source.named_parameters():
        *path, leaf = name.split(".")
        target.get_submodule(".".join(path))._parameters[leaf] = parameter


def span_mask(batch: int, frames: int, rng: np.random.Generator) -> Tensor:
    """Return bool [batch, frames] with overlapping spans of MASK_SPAN frames at random places."""
    mask = np.zeros((batch, frames), bool)
    spans = max(1, round(MASK_SHARE * frames / MASK_SPAN))
    for row in mask:
        for start in rng.choice(frames - MASK_SPAN + 1, spans, replace=False):
            row[start : start + MASK_SPAN] = True
    return torch.from_numpy(mask)


def log_mel(waveforms: Tensor) -> Tensor:
    """Return log mel energies, [batch, time] -> [batch, frames, 40], one frame per frame of the network.

    25 ms Hann windows every 20 ms, triangular filters from 40 Hz to 8 kHz. The mean over the clip is taken away, because the
    GroupNorm of the network hides the level.
    """
    power = torch.fft.rfft(waveforms.unfold(1, WINDOW, HOP) * torch.hann_window(WINDOW), FFT_SIZE).abs().square()
    floor = power.mean(dim=(1, 2), keepdim=True) * 1e-6 + 1e-10
    energies = torch.log(power @ _MEL_FILTERS + floor)
    return energies - energies.mean(dim=(1, 2), keepdim=True)


def mfcc(waveforms: Tensor) -> Tensor:
    """Return MFCC with first and second differences, [batch, time] -> [batch, frames, 39]."""
    cepstra = log_mel(waveforms) @ _DCT
    first = _difference(cepstra)
    return torch.cat([cepstra, 2 * first, 2 * _difference(first)], dim=-1)


def _difference(values: Tensor) -> Tensor:
    padded = F.pad(values.transpose(1, 2), (1, 1), mode="replicate").transpose(1, 2)
    return (padded[:, 2:] - padded[:, :-2]) / 2


def _mel_filters() -> Tensor:
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([40.0, 8000.0]) / 700)), NUM_MELS + 2) / 2595) - 1)
    bins = np.arange(FFT_SIZE // 2 + 1)[:, None] * SAMPLE_RATE / FFT_SIZE
    rise, fall = (bins - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins) / np.diff(edges)[1:]
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))


_MEL_FILTERS = _mel_filters()
_DCT = torch.from_numpy(fft.dct(np.eye(NUM_MELS), norm="ortho", axis=1)[:, :NUM_CEPSTRA].astype(np.float32))


def fit_kmeans(
    frames: Tensor, codes: int, seed: int, weights: Tensor | None = None, rounds: int = 40
) -> tuple[Tensor, Tensor, Tensor]:
    """Lloyd's algorithm on standardised frames.

    Args:
        frames: [count, dim].
        codes: number of clusters.
        weights: of each dimension in the distance, [dim]; default 1.

    Returns:
        centroids [codes, dim] of standardised frames, and the mean and the scale [dim] that standardise.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, scale = frames.mean(0), frames.std(0) + 1e-6
    if weights is not None:
        scale = scale / weights
    points = (frames - mean) / scale
    centroids = points[torch.randperm(len(points), generator=generator)[:codes]]
    for _ in range(rounds):
        nearest = nearest_code(points, centroids)
        counts = torch.bincount(nearest, minlength=codes)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, points)
        empty = counts == 0
        centroids = sums / counts.clamp(min=1).unsqueeze(1)
        centroids[empty] = points[torch.randint(len(points), (int(empty.sum()),), generator=generator)]
    return centroids, mean, scale


def nearest_code(points: Tensor, centroids: Tensor) -> Tensor:
    """Return the index of the nearest centroid of each point: [..., dim] -> [...]."""
    return (points @ centroids.T - 0.5 * centroids.square().sum(1)).argmax(-1)
