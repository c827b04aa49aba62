"""DistilMOS as its authors publish it: the layout of the state dict, and the forward pass, written from the description.

Nothing of the package is used here. The forward pass is for one clip, so that there is no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KERNELS, STEPS = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # of the encoder's convolutions


@dataclass(frozen=True)
class Size:
    """Dimensions of a network; the published ones are 512, 768, 3072, 12, 12, 128, 16, 320, 800, 256, 200."""

    conv: int = 16
    dim: int = 24
    feed_forward: int = 40
    heads: int = 2
    layers: int = 12
    position: int = 16
    groups: int = 4
    buckets: int = 32
    distance: int = 50
    hidden: int = 20
    clusters: int = 200
    kernels: tuple[int, ...] = (5, 3, 3)

    def yaml(self, backbone: str, **more: object) -> dict:
        """Return ``model_cfg.yaml`` of a network of this size, with keys of training that say nothing about its shape."""
        convolutions = f"[({self.conv},10,5)] + [({self.conv},3,2)] * 4 + [({self.conv},2,2)] * 2"
        wavlm = {"encoder_layers": self.layers, "encoder_embed_dim": self.dim, "encoder_ffn_embed_dim": self.feed_forward}
        wavlm |= {"encoder_attention_heads": self.heads, "conv_feature_layers": convolutions, "conv_pos": self.position}
        wavlm |= {"conv_pos_groups": self.groups, "relative_position_embedding": True, "gru_rel_pos": True}
        wavlm |= {"num_buckets": self.buckets, "max_distance": self.distance, "normalize": True, "mask_prob": 0.8}
        w2v2 = {"num_hidden_layers": self.layers, "hidden_size": self.dim, "intermediate_size": self.feed_forward}
        w2v2 |= {"num_attention_heads": self.heads, "conv_dim": [self.conv] * 7, "vocab_size": 32}
        w2v2 |= {"num_conv_pos_embeddings": self.position, "num_conv_pos_embedding_groups": self.groups}
        shape = {"wavlm": {"wavlm_cfg": wavlm}, "w2v2": {"w2v2_cfg": w2v2}}[backbone]
        common = {"ssl_backbone": backbone, "hidden_dim": self.hidden, "downsample_kernels": list(self.kernels)}
        return {**common, **shape, "freeze_wavlm": False, "learning_rate": 1e-4, **more}


NAMES = {
    "wavlm": {
        "convolution": "ssl.feature_extractor.conv_layers.{}.0",
        "group norm": "ssl.feature_extractor.conv_layers.0.2",
        "input norm": "ssl.layer_norm",
        "projection": "ssl.post_extract_proj",
        "position": "ssl.encoder.pos_conv.0",
        "attention": "self_attn",
        "first norm": "self_attn_layer_norm",
        "up": "fc1",
        "down": "fc2",
        "mask": "ssl.mask_emb",
    },
    "w2v2": {
        "convolution": "ssl.feature_extractor.conv_layers.{}.conv",
        "group norm": "ssl.feature_extractor.conv_layers.0.layer_norm",
        "input norm": "ssl.feature_projection.layer_norm",
        "projection": "ssl.feature_projection.projection",
        "position": "ssl.encoder.pos_conv_embed.conv",
        "attention": "attention",
        "first norm": "layer_norm",
        "up": "feed_forward.intermediate_dense",
        "down": "feed_forward.output_dense",
        "mask": "ssl.masked_spec_embed",
    },
}


def layout(backbone: str, size: Size) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor, with the old names of the weight-normalised convolution."""
    names, dim, hidden = NAMES[backbone], size.dim, size.hidden
    shapes: dict[str, tuple[int, ...]] = {names["mask"]: (dim,)}

    def pair(name: str, *weight: int, bias: int | None = None) -> None:
        shapes[f"{name}.weight"] = weight
        shapes[f"{name}.bias"] = (weight[0] if bias is None else bias,)

    for i, kernel in enumerate(KERNELS):
        shapes[names["convolution"].format(i) + ".weight"] = (size.conv, 1 if i == 0 else size.conv, kernel)
    pair(names["group norm"], size.conv)
    pair(names["input norm"], size.conv)
    pair(names["projection"], dim, size.conv)
    shapes[names["position"] + ".bias"] = (dim,)
    shapes[names["position"] + ".weight_g"] = (1, 1, size.position)
    shapes[names["position"] + ".weight_v"] = (dim, dim // size.groups, size.position)
    pair("ssl.encoder.layer_norm", dim)
    for i in range(size.layers):
        layer = f"ssl.encoder.layers.{i}."
        attention = layer + names["attention"]
        for part in "qkv":
            pair(f"{attention}.{part}_proj", dim, dim)
        pair(f"{attention}.out_proj", dim, dim)
        if backbone == "wavlm":
            pair(f"{attention}.grep_linear", 8, dim // size.heads)
            shapes[f"{attention}.grep_a"] = (1, size.heads, 1, 1)
            if i == 0:
                shapes[f"{attention}.relative_attention_bias.weight"] = (size.buckets, size.heads)
        pair(layer + names["first norm"], dim)
        pair(layer + names["up"], size.feed_forward, dim)
        pair(layer + names["down"], dim, size.feed_forward)
        pair(layer + "final_layer_norm", dim)
    shapes |= {"weighted_sum.layer_weights": (size.layers,), "weighted_sum.layer_logits": (size.layers,)}
    pair("weighted_sum.out_proj", dim, dim)
    pair("feature_processor.proj_in", hidden, dim, 1)
    norms = ["decoder.batch_norm"]
    for i, kernel in enumerate(size.kernels):
        shapes[f"feature_processor.blocks.{i}.dw.weight"] = (hidden, 1, kernel)
        shapes[f"feature_processor.blocks.{i}.pw.weight"] = (hidden, hidden, 1)
        norms.append(f"feature_processor.blocks.{i}.bn")
    for norm in norms:
        pair(norm, hidden)
        shapes |= {f"{norm}.running_mean": (hidden,), f"{norm}.running_var": (hidden,), f"{norm}.num_batches_tracked": ()}
    pair("feature_processor.ln", hidden)
    for i in range(size.layers):
        pair(f"predictors.{i}.layers.0", hidden, hidden)
        pair(f"predictors.{i}.layers.2", hidden, hidden)
        pair(f"predictors.{i}.layers.4", size.clusters, hidden)
    pair("decoder.cnn", hidden, hidden, 3)
    for direction in ("", "_reverse"):
        for part in ("ih", "hh"):
            shapes[f"decoder.bilstm.weight_{part}_l0{direction}"] = (4 * hidden, hidden)
            shapes[f"decoder.bilstm.bias_{part}_l0{direction}"] = (4 * hidden,)
    pair("decoder.linear", hidden, 2 * hidden)
    pair("decoder.layer_norm", hidden)
    pair("linear", 1, hidden)
    return shapes


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Return tensors of these shapes that keep signals at their size, and none at a value that hides it."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(7)
        elif name.endswith("running_var"):
            value = 1 + 0.5 * value.tanh()
        elif len(shape) > 1:
            value = value * (2 / value[0].numel()) ** 0.5
        elif name.endswith("weight"):  # of a norm
            value = 1 + 0.2 * value
        else:
            value = 0.2 * value
        state[name] = value
    return state


def reference(
    state: dict[str, Tensor], backbone: str, size: Size, strides: tuple[int, ...], waveform: Tensor
) -> tuple[float, Tensor]:
    """Score a clip ``[samples]``: MOS, and the score of each frame ``[frames]``."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    layers = _encode(state, NAMES[backbone], size, waveform, linear, norm)
    logits = state["weighted_sum.layer_logits"]
    weights = _entmax15(logits - logits.mean())
    x = linear("weighted_sum.out_proj", sum(weight * layer for weight, layer in zip(weights, layers, strict=True)))
    x = F.conv1d(x.T, state["feature_processor.proj_in.weight"], state["feature_processor.proj_in.bias"])  # [hidden, T]
    for i, (kernel, stride) in enumerate(zip(size.kernels, strides, strict=True)):
        block = f"feature_processor.blocks.{i}."
        x = F.conv1d(x, state[block + "dw.weight"], stride=stride, padding=(kernel - 1) // 2, groups=size.hidden)
        x = F.conv1d(x, state[block + "pw.weight"])
        mean, var = state[block + "bn.running_mean"][:, None], state[block + "bn.running_var"][:, None]
        x = (x - mean) / (var + 1e-5).sqrt() * state[block + "bn.weight"][:, None] + state[block + "bn.bias"][:, None]
        x = F.gelu(x)
    z = norm("feature_processor.ln", x.T)
    local = F.conv1d(z.T, state["decoder.cnn.weight"], state["decoder.cnn.bias"], padding=1).T
    context = torch.cat([_lstm(state, "", local), _lstm(state, "_reverse", local.flip(0)).flip(0)], dim=1)
    frames = linear("linear", norm("decoder.layer_norm", F.gelu(linear("decoder.linear", context)) + local))[:, 0]
    return frames.mean().item(), frames


def _encode(state, names, size, waveform, linear, norm) -> list[Tensor]:
    """Return the output ``[T, dim]`` of every transformer layer; the waveform is not normalised."""
    x = waveform[None]  # [channels, T]
    for i, step in enumerate(STEPS):
        x = F.conv1d(x, state[names["convolution"].format(i) + ".weight"], stride=step)
        if i == 0:  # each channel over time
            mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
            weight, bias = state[names["group norm"] + ".weight"], state[names["group norm"] + ".bias"]
            x = (x - mean) / (var + 1e-5).sqrt() * weight[:, None] + bias[:, None]
        x = F.gelu(x)
    x = linear(names["projection"], norm(names["input norm"], x.T))
    position = names["position"]
    direction = state[position + ".weight_v"]
    kernel = state[position + ".weight_g"] * direction / direction.square().sum((0, 1), keepdim=True).sqrt()
    around = F.conv1d(x.T, kernel, state[position + ".bias"], padding=size.position // 2, groups=size.groups)
    x = norm("ssl.encoder.layer_norm", x + F.gelu(around[:, : len(x)].T))
    outputs = []
    for i in range(size.layers):
        layer = f"ssl.encoder.layers.{i}."
        attention = layer + names["attention"]
        q, k, v = (_heads(linear(f"{attention}.{part}_proj", x), size.heads) for part in "qkv")
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5  # [heads, T, T]
        if f"{attention}.grep_a" in state:
            gates = linear(f"{attention}.grep_linear", _heads(x, size.heads)).unflatten(-1, (2, 4)).sum(-1).sigmoid()
            gate = gates[..., :1] * (gates[..., 1:] * state[f"{attention}.grep_a"][0] - 1) + 2
            scores = scores + gate * _distances(state, size, len(x))
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
        x = norm(layer + names["first norm"], x + linear(f"{attention}.out_proj", mixed))
        x = norm(layer + "final_layer_norm", x + linear(layer + names["down"], F.gelu(linear(layer + names["up"], x))))
        outputs.append(x)
    return outputs


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)


def _distances(state: dict[str, Tensor], size: Size, frames: int) -> Tensor:
    """Return WavLM's bias ``[heads, T, T]`` by distance: exact when small, its logarithm when large; future and past apart."""
    half = size.buckets // 2
    exact = half // 2
    away = torch.arange(frames)[None] - torch.arange(frames)[:, None]
    far = exact + (
        (away.abs().clamp(min=1).float() / exact).log() / torch.tensor(size.distance / exact).log() * (half - exact)
    ).long().clamp(max=half - exact - 1)
    buckets = torch.where(away.abs() < exact, away.abs(), far) + half * (away > 0)
    return state["ssl.encoder.layers.0.self_attn.relative_attention_bias.weight"][buckets].permute(2, 0, 1)


def _entmax15(z: Tensor) -> Tensor:
    """1.5-entmax by bisection: the weights ``max(z / 2 - tau, 0) ** 2`` that sum to 1."""
    z = z.double() / 2
    low, high = z.max() - 1, z.max()
    for _ in range(60):
        tau = (low + high) / 2
        low, high = (tau, high) if (z - tau).clamp(min=0).square().sum() > 1 else (low, tau)
    return (z - tau).clamp(min=0).square().float()


def _lstm(state: dict[str, Tensor], direction: str, x: Tensor) -> Tensor:
    """Run one direction of the LSTM, frame by frame: ``[T, hidden]`` to the same."""
    parts = [state[f"decoder.bilstm.{kind}_l0{direction}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    hidden = cell = torch.zeros(x.shape[1])
    outputs = []
    for frame in x:
        gates = parts[0] @ frame + parts[2] + parts[1] @ hidden + parts[3]
        let_in, forget, new, let_out = gates.chunk(4)
        cell = forget.sigmoid() * cell + let_in.sigmoid() * new.tanh()
        hidden = let_out.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)
