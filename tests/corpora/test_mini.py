"""The mini corpus: what it holds, that it is the same every time, and that it goes on where it was cut off."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilmos_plugin import corpora
from distilmos_plugin.corpora import mini
from distilmos_plugin.corpora.simulation.clips import Clip
from distilmos_plugin.corpora.simulation.sources import (
    LONGEST,
    SHORTEST,
    VOICES,
    Recordings,
    SyntheticVoices,
)
from distilmos_plugin.data.directory import DataDirectory, check
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import write_stamp

SCALE = 0.01  # 9 + 4 + 4 + 4 clips


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("mini") / "data"
    corpora.prepare("mini", output, scale=SCALE, nj=1)
    return output


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below ``folder``, without the paths in wav.scp."""
    prefix = f"{folder}/".encode()
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data.replace(prefix, b"") if name.endswith("wav.scp") else data for name, data in found.items()}


# The plan of the full corpus


@pytest.fixture(scope="module")
def full() -> list[Clip]:
    return mini.plan(SyntheticVoices(), seed=0)


def of_part(clips: list[Clip], part: str) -> list[Clip]:
    return [clip for clip in clips if clip.part == part]


def test_the_full_corpus_has_the_size_it_says(full):
    assert Counter(clip.part for clip in full) == {"train": 900, "dev": 240, "test": 240, "test_ood": 240}
    assert len({clip.key for clip in full}) == len(full)
    assert len(set(VOICES["train"])) >= 20
    assert len({clip.speaker[:2] for clip in of_part(full, "train")}) >= 8
    assert len({clip.item for clip in full}) >= 200


def test_every_system_is_heard_equally_often(full):
    for part in mini.SETS:
        counts = Counter(clip.condition.name for clip in of_part(full, part)).values()
        assert max(counts) - min(counts) <= 1
        assert min(counts) >= mini.CLIPS_PER_SYSTEM


def test_systems_and_voices_are_shared_but_sentences_are_not(full):
    systems, voices, sentences = (
        {part: {get(clip) for clip in of_part(full, part)} for part in mini.SETS}
        for get in (lambda clip: clip.condition.name, lambda clip: clip.speaker, lambda clip: clip.item)
    )
    assert systems["train"] == systems["dev"] == systems["test"]
    assert voices["train"] == voices["dev"] == voices["test"]
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not sentences[one] & sentences[other]


def test_test_ood_shares_nothing_with_the_rest(full):
    ood, rest = of_part(full, "test_ood"), [clip for clip in full if clip.part != "test_ood"]
    for get in (lambda clip: clip.condition.name, lambda clip: clip.speaker, lambda clip: clip.speaker[:2]):
        assert not {get(clip) for clip in ood} & {get(clip) for clip in rest}


def test_a_system_speaks_with_many_voices_and_never_says_a_thing_twice(full):
    for part in mini.SETS:
        for name in {clip.condition.name for clip in of_part(full, part)}:
            clips = [clip for clip in of_part(full, part) if clip.condition.name == name]
            assert len({(clip.speaker, clip.item) for clip in clips}) == len(clips)
            assert len({clip.speaker for clip in clips}) == min(len(clips), len(VOICES[part]))


def test_a_small_corpus_has_fewer_systems_with_several_clips_each():
    small = mini.plan(SyntheticVoices(), seed=0, scale=0.1)
    assert len(small) == 90 + 3 * 24
    for part in ("train", "dev", "test"):
        assert len({clip.condition.name for clip in of_part(small, part)}) == 6


@pytest.mark.parametrize("part", sorted(VOICES))
def test_every_voice_speaks_for_2_to_4_seconds(part):
    voices = SyntheticVoices()
    for speaker in voices.speakers(part):
        samples, rate = voices.speech(speaker, voices.items(part, speaker)[0])
        assert SHORTEST <= len(samples) / rate <= LONGEST, speaker
        assert 0.05 < np.abs(samples).max() <= 1.2, speaker  # a mean taken out may lift a peak; the level is set later


# The files


def test_data_directories_are_sound_and_complete(corpus):
    for part in mini.SETS:
        summary = check(corpus / part)
        assert summary.flags == {}
        directory = DataDirectory.read(corpus / part)
        assert set(directory.targets) == {"mos", "pesq", "stoi", "sdi"}
        assert directory.targets["mos"] == directory.targets["pesq"]
        assert len(directory.ratings) == 8 * len(directory.keys)
        assert {rating.target for rating in directory.ratings} == {"mos"}
        for key in directory.keys:
            assert key.split("_")[0] == directory.systems[key]
            assert 1 <= directory.targets["mos"][key] <= 4.65
            info = soundfile.info(directory.wav[key])
            assert (info.frames, info.samplerate, info.channels, info.subtype) == (
                directory.num_samples[key],
                directory.rates[key],
                1,
                "PCM_16",
            )


def test_untouched_clips_are_the_best(corpus):
    train = DataDirectory.read(corpus / "train")
    clean = [train.targets["mos"][key] for key in train.keys if train.systems[key] == "clean"]
    assert min(clean) > 4.6
    assert max(train.targets["mos"].values()) == max(clean)


def test_systems_are_explained(corpus):
    header, *lines = [line.split("\t") for line in (corpus / "systems.tsv").read_text().splitlines()]
    systems = {system for part in mini.SETS for system in DataDirectory.read(corpus / part).systems.values()}
    assert {line[0] for line in lines} == systems
    clean = dict(zip(header, next(line for line in lines if line[0] == "clean"), strict=True))
    assert clean["processing"] == "untouched"
    assert float(clean["pesq_mean"]) > 4.6


def test_paths_are_relative_where_the_output_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpora.prepare("mini", "data/mini", scale=0.001, nj=1)
    test = DataDirectory.read("data/mini/test")
    assert all(path.startswith("data/mini/audio/test/") for path in test.wav.values())
    assert all(Path(path).is_file() for path in test.wav.values())


# Determinism and resuming


def test_another_seed_gives_other_clips(corpus):
    plans = [mini.plan(SyntheticVoices(), seed, SCALE) for seed in (0, 1)]
    assert [clip.key for clip in plans[0]] != [clip.key for clip in plans[1]]


def test_a_second_call_does_nothing_and_says_so(corpus, capsys):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    corpora.prepare("mini", corpus, scale=SCALE, nj=1)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert "complete and current" in capsys.readouterr().err


def test_a_lost_clip_is_made_again_and_the_others_are_kept(corpus):
    content = files(corpus)
    wavs = sorted(corpus.glob("audio/*/*.wav"))
    wavs[0].unlink()
    times = {path: path.stat().st_mtime_ns for path in wavs[1:]}
    corpora.prepare("mini", corpus, scale=SCALE, nj=1)
    assert files(corpus) == content
    assert {path: path.stat().st_mtime_ns for path in wavs[1:]} == times


def test_a_killed_run_of_two_processes_goes_on_to_the_same_bits(tmp_path, corpus):
    output = tmp_path / "data"
    script = tmp_path / "make.py"
    script.write_text(
        "from distilmos_plugin.corpora import prepare\n"
        f"if __name__ == '__main__':\n    prepare('mini', {str(output)!r}, scale={SCALE}, nj=2)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: len(list(output.glob("audio/*/*.json"))) >= 3 or process.poll() is not None)
    process.kill()
    assert "Error" not in process.communicate()[1].decode()  # ends when the workers, which share this pipe, have ended too
    assert not list(output.glob("*/wav.scp"))
    done = {path: path.stat().st_mtime_ns for path in output.glob("audio/*/*.json")}
    (output / "audio" / "train" / ".torn.wav.x.tmp").write_bytes(b"half")
    corpora.prepare("mini", output, scale=SCALE, nj=2)
    assert files(output) == files(corpus)
    assert done.items() <= {path: path.stat().st_mtime_ns for path in output.glob("audio/*/*.json")}.items()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Recordings instead of synthetic speech


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    voices = SyntheticVoices()
    for number, speaker in enumerate(voices.speakers("train")[:8]):
        (folder / f"speaker {number}").mkdir()
        samples, rate = voices.speech(speaker, voices.items("train", speaker)[number])
        long = np.concatenate([np.zeros(rate), samples, 0.1 * samples])
        soundfile.write(folder / f"speaker {number}" / "take.flac", long / np.abs(long).max() / 2, rate)
    (folder / "notes.txt").write_text("not audio")
    (folder / "broken.wav").write_text("not audio either")
    soundfile.write(folder / "short.wav", np.zeros(16000), 16000)
    return folder


def test_clean_recordings_take_the_place_of_synthetic_speech(recordings, tmp_path):
    corpora.prepare("mini", tmp_path / "data", scale=0.001, nj=1, clean_dir=recordings)
    speakers = {part: {key.split("_")[1] for key in DataDirectory.read(tmp_path / "data" / part).keys} for part in mini.SETS}
    assert set.union(*speakers.values()) <= {f"speaker-{number}" for number in range(8)}
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values()))  # nobody is in two sets
    assert max(DataDirectory.read(tmp_path / "data" / "train").seconds().values()) <= LONGEST


def test_the_loudest_part_of_a_long_recording_is_taken(recordings):
    source = Recordings.find(recordings, seed=0)
    speaker = source.speakers("train")[0]
    samples, rate = source.speech(speaker, source.items("train", speaker)[0])
    assert len(samples) <= LONGEST * rate
    assert abs(samples[0]) < 1e-3
    whole = soundfile.read(recordings / source.items("train", speaker)[0])[0]
    assert np.sum(samples**2) > 0.9 * np.sum(whole**2)


def test_files_in_the_folder_itself_are_named_after_their_speaker(recordings, tmp_path):
    for number, path in enumerate(sorted(recordings.glob("*/take.flac"))):
        (tmp_path / f"anna_{number}.flac").write_bytes(path.read_bytes())
    source = Recordings.find(tmp_path, seed=0)
    assert all(source.speakers(part) == ("anna",) for part in mini.SETS)
    items = [source.items(part, "anna") for part in mini.SETS]
    assert sum(map(len, items)) == len(set().union(*items)) == 8


@pytest.mark.parametrize(("folder", "message"), [("nowhere", "no such folder"), ("empty", "0 usable recordings, at least 8")])
def test_a_folder_without_recordings_is_refused(tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        corpora.prepare("mini", tmp_path / "data", clean_dir=tmp_path / folder)
    assert not (tmp_path / "data").exists()


# The registry


def test_unknown_names_are_refused_with_a_suggestion(tmp_path):
    with pytest.raises(DataError, match=r"unknown corpus 'mimi', did you mean 'mini'\?"):
        corpora.prepare("mimi", tmp_path)
    with pytest.raises(DataError, match=r"no option 'sed', did you mean 'seed'\?"):
        corpora.prepare("mini", tmp_path, sed=1)


@pytest.mark.parametrize(("option", "value"), [("scale", 0), ("scale", 1.5), ("nj", 0)])
def test_options_out_of_range_are_refused(tmp_path, option, value):
    with pytest.raises(DataError, match=f"mini: {option}"):
        corpora.prepare("mini", tmp_path, **{option: value})


def test_the_folder_of_another_corpus_is_not_touched(tmp_path):
    write_stamp(tmp_path, {"corpus": "bvcc"})
    with pytest.raises(DataError, match="holds the corpus 'bvcc'"):
        corpora.prepare("mini", tmp_path, scale=SCALE)


def test_the_table_of_corpora_tells_what_there_is():
    table = corpora.describe()
    assert "mini" in table
    assert "train 900 dev 240 test 240 test_ood 240" in table
    assert "truth is wideband PESQ" in table
