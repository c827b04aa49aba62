"""Tiny checkpoints with random weights, in the file formats of the real ones."""

from __future__ import annotations

from pathlib import Path

import torch

from distilmos_plugin.upstreams.surroundings import undisturbed

CONVOLUTIONS = "[(24,10,5)] + [(24,3,2)] * 4 + [(24,2,2)] * 2"
SIZE = {
    "encoder_layers": 3,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "conv_feature_layers": CONVOLUTIONS,
    "conv_pos": 16,
    "conv_pos_groups": 4,
}
LARGE = {"extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True}  # the style of the "large" models

KINDS = {  # kind -> upstream name
    "wavlm": "wavlm_local",
    "wavlm_large": "wavlm_local",
    "unispeech_sat": "unispeech_sat_local",
    "wav2vec2": "wav2vec2_local",
    "wav2vec2_large": "wav2vec2_local",
    "wav2vec2_conformer": "wav2vec2_local",
    "hubert": "hubert_local",
    "hubert_large": "hubert_local",
    "hf_wav2vec2": "hf_wav2vec2_custom",
    "hf_wav2vec2_large": "hf_wav2vec2_custom",
    "hf_hubert": "hf_hubert_custom",
}
EXACT_KINDS = [kind for kind in KINDS if kind != "wav2vec2_conformer"]


def write_checkpoint(kind: str, folder: Path) -> Path:
    """Write a checkpoint of random weights of a kind; return what ``ckpt`` is set to."""
    with undisturbed():
        torch.manual_seed(0)
        if kind.startswith("hf_"):
            return _write_hf(kind, folder)
        path = folder / f"{kind}.pt"
        torch.save(_native(kind), path)
    return path


def _native(kind: str) -> dict:
    style = LARGE if kind.endswith("_large") else {}
    if kind.startswith(("wavlm", "unispeech_sat")):
        from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

        bias = {"relative_position_embedding": True, "gru_rel_pos": True, "num_buckets": 32, "max_distance": 100}
        cfg = WavLMConfig({**SIZE, **style, **bias, "normalize": kind.endswith("_large")})
        return {"cfg": vars(cfg), "model": _shaken(WavLM(cfg))}
    task = {"normalize": kind.endswith("_large"), "sample_rate": 16000, "data": "a path of the author's disk"}
    if kind.startswith("hubert"):
        from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig

        cfg = {**SIZE, **style, "label_rate": 50.0, "final_dim": 16}
        symbols = [["a", "b", "c"]]
        model = HubertModel(HubertConfig(**cfg), HubertPretrainingConfig(), symbols)
        return {"task_cfg": task, "model_cfg": cfg, "model_weight": _shaken(model), "dictionaries_symbols": symbols}
    from s3prl.upstream.wav2vec2.wav2vec2_model import Wav2Vec2Config, Wav2Vec2Model

    cfg = {**SIZE, **style, "quantize_targets": True, "latent_vars": 8, "final_dim": 16}
    if kind == "wav2vec2_conformer":
        cfg.update(layer_type="conformer", attn_type="espnet", pos_enc_type="rope", depthwise_conv_kernel_size=7)
    return {"task_cfg": task, "model_cfg": cfg, "model_weight": _shaken(Wav2Vec2Model(Wav2Vec2Config(**cfg)))}


def _shaken(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a state with no parameter left at 0 or 1, so that an unused bias or gain would show."""
    return {
        name: value + 0.1 * torch.randn_like(value) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }


def _write_hf(kind: str, folder: Path) -> Path:
    import transformers

    large = kind.endswith("_large")
    model_class = transformers.HubertModel if kind.startswith("hf_hubert") else transformers.Wav2Vec2Model
    config = model_class.config_class(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=[24] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer" if large else "group",
        do_stable_layer_norm=large,
    )
    model = model_class(config)
    model.load_state_dict(_shaken(model))
    path = folder / kind
    model.save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=large).save_pretrained(path)
    return path


def noise(num_samples: int, seed: int = 0) -> torch.Tensor:
    """Noise that swells and fades, as speech does, ``[samples]``; GroupNorm statistics then differ along the clip."""
    generator = torch.Generator().manual_seed(seed)
    swell = 0.1 + torch.sin(torch.arange(num_samples) * (2 * torch.pi * 1.7 / 16000)).square()
    return 0.2 * swell * torch.randn(num_samples, generator=generator)


def without_dropout(module: torch.nn.Module) -> None:
    """Set every dropout to 0, which alone may draw random numbers while training."""
    for part in module.modules():
        for attribute in ("p", "dropout", "dropout_p"):
            if isinstance(getattr(part, attribute, None), float):
                setattr(part, attribute, 0.0)
