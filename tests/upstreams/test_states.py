"""States of a frozen upstream on disk: the same as computed, once for each clip, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams.states import FrontEndCache, StateCache
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

LAYERS = (2, 4)
ROOM = 10**9  # bytes


@pytest.fixture
def upstream() -> Upstream:
    return load_upstream("tiny", UpstreamConfig(trainable=False)).eval()


@pytest.fixture(scope="module")
def clips() -> list[Tensor]:
    """0.3, 0.7 and 0.5 s of noise."""
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (4800, 11200, 8000)]


class Counting:
    """Counts the clips that the upstream runs."""

    def __init__(self, upstream: Upstream) -> None:
        self.clips, self._forward = 0, upstream.forward
        upstream.forward = self

    def __call__(self, waveforms, *arguments, **options):
        self.clips += len(waveforms)
        return self._forward(waveforms, *arguments, **options)


def test_a_clip_is_run_once_and_its_states_stay_the_same(upstream: Upstream, clips: list[Tensor], tmp_path: Path):
    with torch.no_grad():
        expected = upstream(clips)
        counted = Counting(upstream)
        StateCache(upstream, tmp_path, LAYERS, ROOM)
        first, again, other = upstream(clips[:2]), upstream(clips[:2]), upstream([clips[2], clips[0]])
    assert counted.clips == 3
    assert [first.lengths.tolist(), again.lengths.tolist()] == [expected.lengths[:2].tolist()] * 2
    assert [layer for layer, states in enumerate(again.states) if states is not None] == list(LAYERS)
    for layer in LAYERS:
        assert torch.equal(first.states[layer], again.states[layer])
        for hidden, rows in ((again, (0, 1)), (other, (2, 0))):
            for place, row in enumerate(rows):
                length = int(expected.lengths[row])
                # What the batch was changes the last bits.
                torch.testing.assert_close(
                    hidden.states[layer][place, :length], expected.states[layer][row, :length], rtol=1e-4, atol=1e-4
                )


def test_a_later_run_finds_them_and_another_upstream_or_layer_does_not(
    upstream: Upstream, clips: list[Tensor], tmp_path: Path
):
    StateCache(upstream, tmp_path, LAYERS, ROOM)
    upstream(clips)
    runs = {"same": LAYERS, "layers": (2,), "weights": LAYERS}
    computed = {}
    for name, layers in runs.items():
        later = load_upstream("tiny", UpstreamConfig(trainable=False)).eval()
        counted = Counting(later)
        StateCache(later, tmp_path, layers, ROOM)
        if name == "weights":  # as init_param does, after the model has been built
            next(later.parameters()).data[0] += 1.0
        later(clips)
        computed[name] = counted.clips
    assert computed == {"same": 0, "layers": 3, "weights": 3}


def test_the_folder_does_not_outgrow_its_limit(upstream: Upstream, clips: list[Tensor], tmp_path: Path):
    frames, limit = int(upstream.frame_lengths(torch.tensor(4800))), 30_000
    assert frames * len(LAYERS) * upstream.dim * 4 < limit  # room for the shortest clip alone
    counted = Counting(upstream)
    StateCache(upstream, tmp_path, LAYERS, limit)
    for clip in (*clips, *clips):
        upstream([clip])
    assert counted.clips == 5
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) < limit


def test_what_a_kill_left_half_written_is_not_taken(upstream: Upstream, clips: list[Tensor], tmp_path: Path):
    StateCache(upstream, tmp_path, LAYERS, ROOM)
    upstream(clips[:1])
    (whole,) = tmp_path.glob("*/*")
    whole.with_name(f".{whole.name}.x.tmp").write_bytes(whole.read_bytes()[:100])  # as atomic_write names it
    whole.unlink()
    upstream(clips[:1])
    assert whole.is_file()


def test_a_trained_upstream_keeps_what_its_frozen_front_end_gives(clips: list[Tensor], tmp_path: Path):
    options = UpstreamConfig(trainable=True, train_front_end=False)
    plain, cached = load_upstream("tiny", options).eval(), load_upstream("tiny", options).eval()
    runs = 0

    def counted(front_end):
        def forward(waveforms: Tensor) -> Tensor:
            nonlocal runs
            runs += len(waveforms)
            return front_end(waveforms)

        return forward

    cached.replace_front_end(counted)
    FrontEndCache(cached, tmp_path, ROOM)
    for batch in (clips[:2], clips[1:], [clips[0], clips[0]]):  # of unlike lengths and of one
        expected, found = plain(batch), cached(batch)
        for upstream, hidden in ((plain, expected), (cached, found)):
            upstream.zero_grad()
            sum(state.square().mean() for state in hidden.states).backward()
        for one, other in zip(expected.states, found.states, strict=True):
            torch.testing.assert_close(one, other)  # clips of one length go through the front end together, or one by one
        for one, other in zip(plain.parameters(), cached.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None)
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad)
    assert runs == len(clips)

    later = load_upstream("tiny", options).eval()
    later.replace_front_end(counted)
    FrontEndCache(later, tmp_path, ROOM)
    with torch.no_grad():
        next(later.expert.model.encoder.parameters())[0] += 1.0  # trained further: the front end is the same
        later(clips)
        assert runs == len(clips)
        next(later.expert.model.feature_extractor.parameters())[0] += 1.0
    changed = load_upstream("tiny", options).eval()
    changed.load_state_dict(later.state_dict())
    changed.replace_front_end(counted)
    FrontEndCache(changed, tmp_path, ROOM)
    changed(clips)
    assert runs == 2 * len(clips)


def test_a_front_end_that_is_trained_is_not_kept(tmp_path: Path):
    with pytest.raises(UpstreamError, match="no front end whose output could be kept"):
        FrontEndCache(load_upstream("tiny", UpstreamConfig(train_front_end=True)), tmp_path, ROOM)
