"""The authors' DistilMOS checkpoints: what their settings and tensors are in this package.

Yang, Nakata, Saito, Saruwatari, arXiv 2601.13700; layout of github.com/BaleYang/DistilMOS (``predict.py``,
``model/predictor.py``): ``model_cfg.yaml`` holds the settings, ``model.pth.tar`` a state dict. Nothing here reads a file.

Their network is our :class:`~.distilmos.DistilMOS` under two other names: ``ssl`` is the upstream, and two parts,
``weighted_sum.layer_weights`` and ``decoder.batch_norm``, are saved but never used. They read the encoder's layer outputs
without a final norm and never normalise the waveform, whatever the encoder's own configuration says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.base import MOSModel
from distilmos_plugin.models.weights import copy_weights
from distilmos_plugin.typed_yaml import parse

OURS, THEIRS = "upstream.expert.model.", "ssl."  # before the encoder's own names

WEIGHT_NORM = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
"""Old names of a weight-normalised convolution -> new ones; which are in use depends on the library that wrote them."""

TELLTALES = {"wavlm": "ssl.post_extract_proj.weight", "w2v2": "ssl.feature_projection.projection.weight"}
"""A tensor that only a checkpoint with this backbone has."""


@dataclass(frozen=True)
class WavLMShape:
    """``wavlm_cfg``: keys of Microsoft's ``WavLMConfig``, with its defaults."""

    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    extractor_mode: Literal["default", "layer_norm"] = "default"
    activation_fn: Literal["gelu", "relu"] = "gelu"
    layer_norm_first: bool = False
    conv_feature_layers: str = "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
    conv_bias: bool = False
    conv_pos: int = 128
    conv_pos_groups: int = 16
    relative_position_embedding: bool = False
    num_buckets: int = 320
    max_distance: int = 1280
    gru_rel_pos: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0

    def architecture(self, where: str) -> dict[str, Any]:
        """Return the upstream's description; ConfigError where its last layer would not be what the authors read."""
        if self.layer_norm_first:
            raise ConfigError(
                f"{where}: wavlm_cfg: layer_norm_first: true is not supported: the authors read the last layer without the "
                "final norm"
            )
        _check_heads(f"{where}: wavlm_cfg", self.encoder_embed_dim, self.encoder_attention_heads)
        return {"family": "wavlm", "cfg": asdict(self) | {"normalize": False}}


@dataclass(frozen=True)
class Wav2Vec2Shape:
    """``w2v2_cfg``: keys of transformers' ``Wav2Vec2Config`` with its defaults, which are those of wav2vec2-base."""

    num_hidden_layers: int = 12
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_attention_heads: int = 12
    feat_extract_norm: Literal["group", "layer"] = "group"
    feat_extract_activation: Literal["gelu", "relu"] = "gelu"
    hidden_act: Literal["gelu", "relu"] = "gelu"
    layer_norm_eps: float = 1e-5
    do_stable_layer_norm: bool = False
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    mask_time_prob: float = 0.05  # above 0 there is a tensor ``masked_spec_embed``
    mask_feature_prob: float = 0.0

    def architecture(self, where: str) -> dict[str, Any]:
        """Return the upstream's description. The authors pass a padding mask, for this extractor too."""
        _check_heads(f"{where}: w2v2_cfg", self.hidden_size, self.num_attention_heads)
        config = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        preprocessor = {"feature_size": 1, "sampling_rate": 16000, "padding_value": 0.0}
        preprocessor |= {"do_normalize": False, "return_attention_mask": True}
        return {"family": "hf_wav2vec2", "config": config, "preprocessor": preprocessor}


BASE = WavLMShape(relative_position_embedding=True, gru_rel_pos=True, max_distance=800)
"""What the authors' code takes without a ``wavlm_cfg``: WavLM base and base+."""


@dataclass(frozen=True)
class Settings:
    """The keys of ``model_cfg.yaml`` that shape the network, with the defaults of the authors' code.

    Attributes:
        ssl_backbone: ``wavlm`` or ``w2v2``.
        downsample_strides: of each separable convolution; nothing in the weights tells them.
        downsample_kernels: of each separable convolution.
        hidden_dim: width of everything behind the mix of layers.
        target_layers: layer that each of the ``predictors`` guesses the tokens of; None is all layers.
        wavlm_cfg, w2v2_cfg: shape of the encoder.
    """

    ssl_backbone: str = "wavlm"
    downsample_strides: tuple[int, ...] = (1, 1, 1)
    downsample_kernels: tuple[int, ...] = (5, 3, 3)
    hidden_dim: int = 256
    target_layers: tuple[int, ...] | None = None
    wavlm_cfg: WavLMShape = BASE
    w2v2_cfg: Wav2Vec2Shape = Wav2Vec2Shape()


@dataclass(frozen=True)
class Description:
    """What a checkpoint is in this package: what :func:`~.build_model` and the upstream's rebuilding take."""

    backbone: str
    config: Config
    architecture: Mapping[str, Any]
    token_layers: tuple[int, ...]
    clusters: int


def describe(values: Any, tensors: Mapping[str, Tensor], where: str = "model_cfg.yaml") -> Description:
    """Describe a checkpoint.

    Args:
        values: of ``model_cfg.yaml``. Keys of the authors' training that shape nothing are passed over, as they do.
        tensors: the state dict. Its names tell the backbone; the file's word counts where they do not.
        where: file that error messages name.

    Raises:
        ConfigError: naming the key that is wrong in ``values``.
    """
    settings = _settings(values, where)
    backbone = next((name for name, key in TELLTALES.items() if key in tensors), settings.ssl_backbone.lower())
    if backbone not in TELLTALES:
        raise ConfigError(
            f"{where}: ssl_backbone: '{backbone}' is not one of {', '.join(TELLTALES)}, and the weights do not tell"
        )
    shape = settings.wavlm_cfg if backbone == "wavlm" else settings.w2v2_cfg
    architecture = shape.architecture(where)
    num_layers = shape.encoder_layers if isinstance(shape, WavLMShape) else shape.num_hidden_layers
    token_layers = tuple(range(1, num_layers + 1)) if settings.target_layers is None else settings.target_layers
    head = tensors.get("predictors.0.layers.4.weight")
    config = Config(
        system="distilmos",
        upstream={"wavlm": "wavlm_local", "w2v2": "hf_wav2vec2_custom"}[backbone],
        model_conf={
            "hidden_dim": settings.hidden_dim,
            "kernels": list(settings.downsample_kernels),
            "strides": list(settings.downsample_strides),
        },
        # The weight is not published; the token heads are kept at any above 0.
        loss_conf=LossConfig(token_weight=1.0 if token_layers else 0.0),
    )
    return Description(backbone, config, architecture, token_layers, len(head) if head is not None and head.dim() else 0)


def load_state(model: MOSModel, tensors: Mapping[str, Tensor]) -> None:
    """Copy an official state dict into the model that its description builds.

    Raises:
        ModelError: naming, as the file does, each tensor that is missing, unexpected or of another shape.
    """
    target = {_their_name(name): tensor for name, tensor in model.state_dict().items()}
    for names in WEIGHT_NORM.items():
        for ours, theirs in (names, names[::-1]):
            for name in [name for name in target if name.endswith(ours) and name not in tensors]:
                other = name.removesuffix(ours) + theirs
                if other in tensors:
                    target[other] = target.pop(name)
    copy_weights(target | _unused(target), tensors, tensors.__getitem__)


def _settings(values: Any, where: str) -> Settings:
    """Parse what shapes the network, and check what only the building of it would find."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of keys to values, found {type(values).__name__}")
    known = _known(Settings, values)
    for key, shape in (("wavlm_cfg", WavLMShape), ("w2v2_cfg", Wav2Vec2Shape)):
        if isinstance(known.get(key), Mapping):
            known[key] = parse(shape, _known(shape, known[key]), f"{where}: {key}")
        elif key in known and known[key] is None:
            del known[key]
    settings = parse(Settings, known, where)
    if settings.hidden_dim < 1:
        raise ConfigError(f"{where}: hidden_dim: expected 1 or more, found {settings.hidden_dim}")
    return settings


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(cls)}
    return {key: value for key, value in values.items() if key in names}


def _check_heads(where: str, dim: int, heads: int) -> None:
    if heads < 1 or dim < 1 or dim % heads:
        raise ConfigError(f"{where}: a width of {dim} cannot be split over {heads} attention heads")


def _their_name(name: str) -> str:
    return THEIRS + name.removeprefix(OURS) if name.startswith(OURS) else name


def _unused(target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return places for the tensors that the authors save but do not use: they must be there, and fit."""
    dim = target["decoder.layer_norm.weight"]
    norm = {name: torch.empty_like(dim) for name in ("weight", "bias", "running_mean", "running_var")}
    norm["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    places = {f"decoder.batch_norm.{name}": tensor for name, tensor in norm.items()}
    return places | {"weighted_sum.layer_weights": torch.empty_like(target["weighted_sum.layer_logits"])}
