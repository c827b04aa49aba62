"""The upstream: waveforms to the hidden states of every layer, with exact frame lengths."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams import experts, huggingface, resolver
from distilmos_plugin.upstreams.batching import ExactBatching
from distilmos_plugin.upstreams.experts import SAMPLE_RATE
from distilmos_plugin.upstreams.frames import Framing, measure_framing
from distilmos_plugin.upstreams.sfi.convolution import HIGHEST_RATE, LOWEST_RATE, SFIConvolution
from distilmos_plugin.upstreams.sfi.design import resampled_length
from distilmos_plugin.upstreams.sfi.front_end import RateBatching, sfi_convolution, silence, variance_floor
from distilmos_plugin.upstreams.surroundings import same_random_state, undisturbed

MIN_SAMPLES = 400  # 25 ms: the receptive field of the wav2vec 2.0 front end, and the window of filter banks

AS_IT_IS = UpstreamConfig()

UNUSED = ("mask_emb", "quantizer", "input_quantizer", "project_q", "final_proj", "target_glu", "label_embs_concat")
"""Parts of the native models that only pre-training uses; they never get a gradient."""


@dataclass(frozen=True)
class HiddenStates:
    """What an upstream gives for a batch of ``B`` clips.

    Attributes:
        states: the first layer's input, then each layer's output, ``[B, T, D]`` each; ``num_layers + 1`` of them. Frames past
            a clip's length hold anything finite: mask them.
        lengths: valid frames of each clip, int64 ``[B]``.
    """

    states: tuple[Tensor, ...]
    lengths: Tensor


class Upstream(nn.Module):
    """An s3prl upstream with exact lengths, float32, ready to be frozen or fine-tuned.

    Only its ``state_dict`` moves between processes and copies: ``copy.deepcopy`` and ``pickle`` of s3prl's experts fail or,
    worse, share their hooks with the original. One forward pass at a time.

    Attributes:
        name: registered name.
        family: how the architecture is described, see :mod:`distilmos_plugin.upstreams.experts`.
        architecture: plain values, enough to rebuild the structure without the checkpoint.
        digest: 16 hexadecimal digits over the pre-trained weights and their use; the same after :func:`rebuild_upstream`.
        sample_rate: Hz, of the waveforms; of an SFI upstream, the rate that lengths are counted in.
        rates: lowest and highest rate of waveforms, Hz: the same but for SFI upstreams.
        hop: samples from one frame to the next.
        min_samples: the shortest clip, in samples.
        num_layers: transformer layers that are kept; ``dim`` their width D.
        exact: a padded batch gives what single clips give, and is run as one. Otherwise clips of unequal length are run in
            groups of equal length, with the same result but more slowly.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self, name: str, expert: nn.Module, architecture: Mapping[str, Any], digest: str, conf: UpstreamConfig
    ) -> None:
        super().__init__()
        self.name, self.family, self.digest, self.conf = name, architecture["family"], digest, conf
        self.architecture = dict(architecture)
        self.expert = expert
        self.rates = (self.sample_rate, self.sample_rate)
        self._batching: ExactBatching | None = None
        if self.family == "other":
            self._measure()
        else:
            self._adapt()
        self.hop = self.framing.hop
        self._choose_trained()
        self.train(self.training)

    @property
    def exact(self) -> bool:
        return self._batching is not None

    @property
    def _front_end(self) -> nn.Module | None:
        """The convolutions, where they are known. Not an attribute: the state dict would have them under two names."""
        return None if self.family == "other" else self.expert.model.feature_extractor

    def frame_lengths(self, num_samples: Tensor) -> Tensor:
        """Return the frames of clips of ``num_samples`` samples, int64 of the same shape."""
        return self.framing.counts(num_samples)

    def replace_front_end(self, replacement: Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]) -> None:
        """Put a function of the front end in its place; both map clips of one length ``[B, N]`` to frames ``[B, C, T]``."""
        self._batching.front_end = replacement(self._batching.front_end)

    @property
    def sfi(self) -> SFIConvolution | None:
        """The SFI convolution; None in upstreams of one rate. Not an attribute, as the front end."""
        return None if self._front_end is None else sfi_convolution(self.expert.model)

    def forward(
        self, waveforms: Sequence[Tensor] | Tensor, lengths: Tensor | None = None, rates: Sequence[int] | None = None
    ) -> HiddenStates:
        """Compute the hidden states of a batch.

        Args:
            waveforms: one mono waveform ``[samples]`` a clip at 16 kHz, full scale 1; or a padded batch ``[B, N]``.
            lengths: of a padded batch, samples of each clip ``[B]``; None takes all N samples.
            rates: of the clips, Hz, within :attr:`rates`; None takes :attr:`sample_rate`.

        Raises:
            UpstreamError: if a clip is shorter than ``min_samples``, or at a rate that the upstream does not take.
        """
        counts = [len(clip) for clip in waveforms] if lengths is None else [int(length) for length in lengths]
        clips = [clip[:count].float() for clip, count in zip(waveforms, counts, strict=True)]
        rates = [self.sample_rate] * len(clips) if rates is None else [int(rate) for rate in rates]
        self._refuse_rates(rates)
        counts = [resampled_length(count, rate, self.sample_rate) for count, rate in zip(counts, rates, strict=True)]
        if not clips or min(counts) < self.min_samples:
            raise UpstreamError(
                f"upstream '{self.name}' takes clips of at least {self.min_samples} samples "
                f"({self.min_samples / self.sample_rate * 1000:.0f} ms), found {min(counts, default=0)}"
            )
        if self._batching is None:
            states, frames = self._run_equal_lengths(clips)
        else:
            frames = [self.framing.count(count) for count in counts]
            if isinstance(self._batching, RateBatching):
                with self._batching.clips_at(clips, rates):
                    states = self._run(silence(counts, clips[0]))
            else:
                with self._batching.clips_of(counts):
                    states = self._run(clips)
        return HiddenStates(states, torch.tensor(frames, device=states[0].device))

    def _refuse_rates(self, rates: Sequence[int]) -> None:
        lowest, highest = self.rates
        wrong = next((rate for rate in rates if not lowest <= rate <= highest), None)
        if wrong is not None:
            takes = f"{lowest} Hz; 'distilmos upstream sfi' makes one of it that takes any rate"
            raise UpstreamError(
                f"upstream '{self.name}' takes clips at {takes if lowest == highest else f'{lowest} to {highest} Hz'}, "
                f"found {wrong} Hz"
            )

    def train(self, mode: bool = True) -> Upstream:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if not self.conf.trainable:
            self.expert.eval()
        elif self._front_end is not None and not self.conf.train_front_end:
            self._front_end.eval()
        return self

    @contextlib.contextmanager
    def gradient_to_waveforms(self) -> Iterator[None]:
        """Within the block, let gradients of hidden states reach the waveforms, also through a front end that is not trained.

        Raises:
            UpstreamError: if s3prl's expert takes the waveforms out of the graph.
        """
        if self.family.startswith("hf_") and self.sfi is None:
            raise UpstreamError(
                f"upstream '{self.name}': s3prl hands its waveforms to transformers as numpy arrays, so no gradient reaches "
                "them; use an upstream of the wavlm, hubert or wav2vec2 family"
            )
        model = getattr(self.expert, "model", None)
        before = getattr(model, "feature_grad_mult", None)  # s3prl runs the front end under no_grad at 0
        try:
            if before is not None:
                model.feature_grad_mult = 1.0
            yield
        finally:
            if before is not None:
                model.feature_grad_mult = before

    # --- running -----------------------------------------------------------------------------------------------------

    def _run(self, clips: list[Tensor]) -> tuple[Tensor, ...]:
        return tuple(self.expert(clips)["hidden_states"])[: self.num_layers + 1]

    def _run_equal_lengths(self, clips: list[Tensor]) -> tuple[tuple[Tensor, ...], list[int]]:
        groups: dict[int, list[int]] = {}
        for index, clip in enumerate(clips):
            groups.setdefault(len(clip), []).append(index)
        outputs = {}
        for members in groups.values():
            with same_random_state():
                states = self._run([clips[index] for index in members])
            outputs.update({index: [state[row] for state in states] for row, index in enumerate(members)})
        frames = [len(outputs[index][0]) for index in range(len(clips))]
        longest = max(frames)
        padded = [
            torch.stack([F.pad(outputs[index][layer], (0, 0, 0, longest - frames[index])) for index in range(len(clips))])
            for layer in range(self.num_layers + 1)
        ]
        return tuple(padded), frames

    # --- set-up ------------------------------------------------------------------------------------------------------

    def _adapt(self) -> None:
        """Prepare a model with a convolutional front end and an encoder of layers."""
        model, conf = self.expert.model, self.conf
        self.framing = Framing.of(experts.convolutions(self.architecture) or [])
        self.num_layers = self._kept(len(model.encoder.layers))
        self.dim = int(getattr(model.encoder, "embedding_dim", 0) or model.config.hidden_size)
        self.min_samples = max(MIN_SAMPLES, self.framing.receptive_field)
        if self.num_layers < len(model.encoder.layers):
            if experts.is_pre_norm(self.expert):
                model.encoder.layer_norm = nn.Identity()  # it belongs behind the last layer of the full model
            model.encoder.layers = model.encoder.layers[: self.num_layers]
        if self.family.startswith("hf_"):
            model.config.apply_spec_augment, model.config.layerdrop = False, 0.0
        else:
            model.feature_grad_mult = float(conf.trainable and conf.train_front_end)
            model.encoder.layerdrop = 0.0
            _draw_privately(model.encoder)
        if self.sfi is not None:
            self.rates = (LOWEST_RATE, HIGHEST_RATE)
            floor = variance_floor(self.family, experts.normalizes(self.architecture))
            self._batching = RateBatching(model, self.framing, self.sfi, floor)
        elif experts.can_be_exact(self.architecture):
            self._batching = ExactBatching(model, self.framing)
        if conf.gradient_checkpointing:
            for layer in model.encoder.layers:
                layer.forward = _recomputed(layer.forward)

    def _measure(self) -> None:
        """Find layers, width and framing of any other upstream by running it."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(3 * SAMPLE_RATE, generator=generator) * 0.1

        def states_of(num_samples: int) -> tuple[Tensor, ...]:
            with torch.no_grad(), undisturbed():
                return tuple(self.expert([noise[:num_samples]])["hidden_states"])

        states = states_of(SAMPLE_RATE)
        shapes = {tuple(state.shape) for state in states}
        if len(shapes) != 1 or states[0].dim() != 3:
            raise UpstreamError(f"upstream '{self.name}': its hidden states differ in shape: {sorted(shapes)}")
        if self.conf.gradient_checkpointing:
            raise UpstreamError(f"upstream '{self.name}': gradient_checkpointing is not known for it; set it to false")
        self.num_layers, self.dim = self._kept(len(states) - 1), states[0].shape[-1]
        hop = int(self.expert.get_downsample_rates("hidden_states"))
        try:
            self.framing = measure_framing(lambda count: states_of(count)[0].shape[1], hop)
        except UpstreamError as error:
            raise UpstreamError(f"upstream '{self.name}' {error}") from error
        shortest = max(MIN_SAMPLES, self.framing.receptive_field)
        lengths = range(shortest, SAMPLE_RATE, self.framing.hop)  # normalising over one frame gives NaN: filter banks need two
        self.min_samples = next(
            (count for count in lengths if all(state.isfinite().all() for state in states_of(count))), SAMPLE_RATE
        )

    def _kept(self, layers: int) -> int:
        wanted = self.conf.num_layers
        if wanted is not None and not 0 <= wanted <= layers:
            raise UpstreamError(
                f"upstream '{self.name}' has {layers} layers; upstream_conf: num_layers: {wanted} is out of range"
            )
        return layers if wanted is None else wanted

    def _choose_trained(self) -> None:
        """Freeze what is not to be trained and what never gets a gradient."""
        self.expert.requires_grad_(False)
        if not self.conf.trainable:
            return
        if self.family == "other":
            self._train_reached()
            return
        model = self.expert.model
        hf = self.family.startswith("hf_")
        unused = [*(huggingface.UNUSED if hf else UNUSED), *([] if self.conf.train_front_end else ["feature_extractor"])]
        if hf and model.config.do_stable_layer_norm:
            unused.append("encoder.layer_norm")  # behind the last hidden state that transformers gives
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not any(name == part or name.startswith(f"{part}.") for part in unused))
        if hf and not self.conf.train_front_end:
            model.feature_extractor._requires_grad = False  # else transformers asks for the waveform's gradient

    def _train_reached(self) -> None:
        """Train the parameters that a gradient reaches, found by one backward pass."""
        self.expert.requires_grad_(True)
        noise = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
        with torch.enable_grad(), same_random_state():
            states = self._run([noise])
            if states[0].requires_grad or states[-1].requires_grad:
                sum(state.sum() for state in states).backward()
        for parameter in self.expert.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None


def load_upstream(name: str, conf: UpstreamConfig = AS_IT_IS) -> Upstream:
    """Load an upstream with its weights, on the CPU.

    Args:
        name: any s3prl upstream, ``tiny`` (bundled, offline), or the folder of an SFI upstream.
        conf: checkpoint and use.

    Raises:
        UpstreamError: if the name is unknown, its checkpoint is missing or unfit, or something that it needs is broken.
    """
    expert, architecture = experts.create(name, conf.ckpt)
    digest = experts.digest(architecture, expert)
    return Upstream(name, expert, {**architecture, "digest": digest}, digest, conf)


def rebuild_upstream(name: str, architecture: Mapping[str, Any], conf: UpstreamConfig = AS_IT_IS) -> Upstream:
    """Build an upstream's structure, offline, for a released model whose ``state_dict`` holds the weights.

    Every parameter is NaN until then. Upstreams of the family ``other`` are created by name instead, with their weights.

    Args:
        name: registered name.
        architecture: the ``architecture`` of the loaded upstream.
        conf: as it was loaded with; ``num_layers`` decides which keys its ``state_dict`` has.

    Raises:
        UpstreamError: if the description does not fit.
    """
    expert = experts.rebuild(name, architecture, conf.ckpt)
    return Upstream(name, expert, architecture, str(architecture.get("digest", "")), conf)


def show_upstream(name: str, conf: UpstreamConfig = AS_IT_IS) -> dict[str, Any]:
    """Return what is known of an upstream, for ``distilmos upstream show``.

    An upstream that needs neither a network nor a missing checkpoint is loaded, and its dimensions are added.

    Raises:
        UpstreamError: if the name is unknown, or the upstream does not load.
    """
    entry = resolver.entry(name)
    origin = entry.module or ("bundled" if name == resolver.TINY else "an SFI upstream's folder")
    facts = {"name": name, "module": origin, "needs": entry.needs, "batching": entry.batching}
    if entry.broken:
        return {**facts, "broken": entry.broken}
    if entry.needs == "network" or (entry.needs == "checkpoint" and not conf.ckpt):
        return facts
    upstream = load_upstream(name, conf)
    return {
        **facts,
        "batching": "exact" if upstream.exact else "equal lengths",
        "digest": upstream.digest,
        "layers": upstream.num_layers,
        "dim": upstream.dim,
        "hop": f"{upstream.hop} samples ({upstream.sample_rate / upstream.hop:g} frames a second)",
        "sample rates": " to ".join(str(rate) for rate in sorted(set(upstream.rates))) + " Hz",
        "shortest clip": f"{upstream.min_samples} samples",
        "parameters": sum(parameter.numel() for parameter in upstream.parameters()),
    }


def _draw_privately(encoder: nn.Module) -> None:
    """Keep an encoder from drawing numbers of numpy's global generator.

    s3prl's encoders draw one a layer to decide whether to drop it, also in evaluation mode and at probability 0 (WavLM.py,
    ``TransformerEncoder.extract_features``). A copy of that method sees a ``np`` whose draw never drops a layer.
    """
    method = type(encoder).extract_features
    never = SimpleNamespace(random=SimpleNamespace(random=lambda: 1.0))
    private = FunctionType(
        method.__code__, {**method.__globals__, "np": never}, method.__name__, method.__defaults__, method.__closure__
    )
    encoder.extract_features = MethodType(private, encoder)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a layer's ``forward`` so that its activations are recomputed in the backward pass."""

    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return recomputed
