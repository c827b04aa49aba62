"""Long audio: windows, their mean, bounded memory."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.recordings import windows

from .material import RATE, speech, with_windows, write

SAME = 1e-5


@pytest.fixture(scope="module")
def windowed(model, config):
    """10 s windows every 5 s."""
    return Predictor(model, with_windows(config, 10.0, 5.0))


@pytest.mark.parametrize(("length", "hop"), [(10, 5), (10, 10), (10, 3), (10, 1)])
def test_windows_cover_the_clip_and_none_is_a_sliver(length, hop):
    for num_samples in range(1, 60):
        spans = windows(num_samples, length, hop)
        assert (spans[0][0], spans[-1][1]) == (0, num_samples)
        assert all(later[0] - earlier[0] == hop for earlier, later in itertools.pairwise(spans))
        assert all(stop - start == length for start, stop in spans[:-1])
        if num_samples > length:
            assert length - hop < spans[-1][1] - spans[-1][0] <= length


def test_the_score_is_the_mean_of_the_windows_by_duration(windowed, tmp_path):
    samples = np.concatenate([speech(9.0, seed=1), 0.1 * speech(8.0, seed=2)])
    score = windowed.score(write(tmp_path / "long.wav", samples), frames=True)
    parts = [windowed.score(samples[start : start + 10 * RATE], RATE).mos for start in (0, 5 * RATE, 10 * RATE)]
    assert score.flags == ("windowed",)
    assert (score.frames.unit, score.frames.hop, score.frames.length) == ("window", 5.0, 10.0)
    assert score.frames.targets["mos"] == pytest.approx(parts, abs=SAME)
    assert np.ptp(parts) > 0.01
    assert score.mos == pytest.approx(np.average(parts, weights=[10, 10, 7]), abs=SAME)


def test_windows_of_a_resampled_file_are_those_of_the_whole(windowed, tmp_path):
    samples = speech(22.0, 44100)
    from_file = windowed.score(write(tmp_path / "long.wav", samples, 44100), frames=True)
    in_memory = windowed.score(samples, 44100, frames=True)  # resampled in one piece
    assert from_file.flags == in_memory.flags == ("resampled", "windowed")
    assert from_file.frames.targets["mos"] == pytest.approx(in_memory.frames.targets["mos"], abs=SAME)


def test_a_clip_that_fits_a_window_is_scored_whole(windowed, model, config):
    whole = Predictor(model, with_windows(config, math.inf, math.inf))
    samples = speech(10.0)
    score = windowed.score(samples, RATE)
    assert score.flags == ()
    assert score.mos == pytest.approx(whole.score(samples, RATE).mos, abs=SAME)
    longer = np.append(samples, samples[:1])
    assert windowed.score(longer, RATE).flags == ("windowed",)


def test_windows_agree_with_the_whole_where_the_sound_does_not_change(windowed, model, config):
    # Two seconds of speech over and over; what differs is how far attention and the recurrent decoder reach.
    whole = Predictor(model, with_windows(config, math.inf, math.inf))
    samples = np.tile(speech(2.0), 10)
    assert windowed.score(samples, RATE).mos == pytest.approx(whole.score(samples, RATE).mos, abs=0.02)


def test_long_and_short_clips_share_a_run(windowed, tmp_path):
    lengths = [1.0, 23.0, 2.0, 10.5, 1.5]
    paths = [write(tmp_path / f"{i}.wav", speech(seconds, seed=i)) for i, seconds in enumerate(lengths)]
    scores = list(windowed.score_many(paths))
    assert [score.mos for score in scores] == pytest.approx([windowed.score(path).mos for path in paths], abs=SAME)
    assert ["windowed" in score.flags for score in scores] == [False, True, False, True, False]
    assert [score.duration for score in scores] == lengths


MEASURE = """
import sys
from distilmos_plugin.config import override
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import load_release
model, config, _ = load_release(sys.argv[1])
predictor = Predictor(model, override(config, ["scoring_conf.window_seconds=10", "scoring_conf.hop_seconds=9"]))
for path in [sys.argv[2], *sys.argv[2:]]:  # the first time warms up
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts from here
    assert "windowed" in predictor.score(path).flags
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")))  # MiB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_an_hour_takes_no_more_memory_than_a_minute(release, tmp_path):
    minute = speech(60.0)
    for name, minutes in (("short", 1), ("long", 60)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", RATE, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
    command = [sys.executable, "-c", MEASURE, release, tmp_path / "short.wav", tmp_path / "long.wav"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, short, long = map(float, done.stdout.split())
    assert long < 2000  # MiB, all of the process
    assert long - short < 30  # MiB; the signal alone is 220 MiB as floats
