"""One pass of a frozen upstream over a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from distilmos_plugin import audio
from distilmos_plugin.data.batches import pack
from distilmos_plugin.data.directory import WAV, DataDirectory
from distilmos_plugin.errors import DataError
from distilmos_plugin.progress import Progress
from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream

BATCH_SECONDS = 80.0  # padded audio in a batch


def frozen_pass(
    upstream: Upstream,
    directory: DataDirectory,
    description: str,
    *,
    keys: tuple[str, ...] | None = None,
    batch_seconds: float = BATCH_SECONDS,
    device: str | None = None,
    allow_pipes: bool = False,
) -> Iterator[tuple[list[str], HiddenStates]]:
    """Yield the hidden states of every clip, a batch of like lengths at a time, showing the progress.

    Args:
        upstream: moved to ``device`` and set to evaluation mode.
        directory: the clips.
        description: of the progress bar.
        keys: the clips wanted; None takes all.
        batch_seconds: padded audio in a batch, seconds.
        device: None takes CUDA if there is any, else the CPU.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        DataError: naming file and key of a clip that cannot be read, or is too short for the upstream.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    upstream.to(device).eval()
    wanted = directory.keys if keys is None else keys
    lengths = directory.seconds(allow_pipes)
    seconds = [lengths[key] for key in wanted]
    batches = [[wanted[index] for index in batch] for batch in pack(seconds, batch_seconds)]

    def read(batch: list[str]) -> list[torch.Tensor]:
        return [_read(upstream, directory, key, allow_pipes) for key in batch]

    with ThreadPoolExecutor(1) as reader, Progress(description, sum(seconds), "s of audio") as progress:
        waiting = reader.submit(read, batches[0]) if batches else None
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            waveforms = waiting.result()
            if following is not None:
                waiting = reader.submit(read, following)  # while the upstream computes
            with torch.inference_mode():
                hidden = upstream([waveform.to(device) for waveform in waveforms])
            yield batch, hidden
            progress.advance(sum(lengths[key] for key in batch))


def _read(upstream: Upstream, directory: DataDirectory, key: str, allow_pipes: bool) -> torch.Tensor:
    try:
        samples = audio.read_audio(directory.wav[key], upstream.sample_rate, allow_pipes=allow_pipes).samples
    except audio.AudioProblem as problem:
        raise DataError(f"{directory.path / WAV}: key '{key}': {problem}") from None
    if len(samples) < upstream.min_samples:
        raise DataError(
            f"{directory.path / WAV}: key '{key}': {len(samples)} samples at {upstream.sample_rate} Hz, upstream "
            f"{upstream.name} takes at least {upstream.min_samples}; leave the clip out"
        )
    return torch.from_numpy(samples)
