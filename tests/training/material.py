"""A corpus of a dozen clips, and an upstream small enough to train in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from distilmos_plugin.data.directory import DataDirectory, Rating, write_data_directory

RATE = 16000  # Hz


def write_corpus(folder: Path, clips: int = 12, systems: int = 4, seed: int = 0) -> DataDirectory:
    """Write tones under noise: the more noise, the lower the label. Three listeners rate each clip."""
    generator = np.random.default_rng(seed)
    wav, mos, system, ratings = {}, {}, {}, []
    folder.mkdir(parents=True)
    for number in range(clips):
        key = f"sys{number % systems}-clip{number:02d}"
        seconds = generator.uniform(0.5, 1.2)
        time = np.arange(int(seconds * RATE)) / RATE
        noise = (number % systems) / systems
        tone = np.sin(2 * np.pi * generator.uniform(100, 400) * time) * (1 + np.sin(2 * np.pi * 4 * time)) / 4
        path = folder / f"{key}.wav"
        soundfile.write(path, tone + 0.3 * noise * generator.standard_normal(len(time)), RATE)
        wav[key], system[key] = path, f"sys{number % systems}"
        mos[key] = round(4.5 - 3 * noise + generator.uniform(-0.3, 0.3), 3)
        ratings += [
            Rating(key, f"listener{i}", "mos", float(np.clip(round(mos[key] + bias), 1, 5)))
            for i, bias in enumerate((-1, 0, 1))
        ]
    return write_data_directory(folder, wav, {"mos": mos}, system, ratings)


def write_upstream(path: Path, seed: int = 0) -> Path:
    """Write a WavLM of two layers with random weights, in s3prl's format."""
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    cfg = WavLMConfig(
        {
            "encoder_layers": 2,
            "encoder_embed_dim": 16,
            "encoder_ffn_embed_dim": 32,
            "encoder_attention_heads": 2,
            "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
            "conv_pos": 8,
            "conv_pos_groups": 2,
            "relative_position_embedding": True,
            "gru_rel_pos": True,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save({"cfg": vars(cfg), "model": WavLM(cfg).state_dict()}, path)
    return path
