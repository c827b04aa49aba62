"""Audio in Kaldi archives, and scores as Kaldi text."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from distilmos_plugin.audio import read_audio
from distilmos_plugin.data.archive import write_archive
from distilmos_plugin.data.directory import DataDirectory, Rating, check, write_data_directory
from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.results import Score, ScoreWriter
from distilmos_plugin.scoring.text import write_text

RNG = np.random.default_rng(0)
NOISE = RNG.uniform(-0.9, 0.9, size=4000).astype(np.float32)


def directory(folder: Path, subtype: str = "PCM_16", **clips: tuple[np.ndarray, int]) -> DataDirectory:
    folder.mkdir(parents=True, exist_ok=True)
    for key, (samples, rate) in clips.items():
        soundfile.write(folder / f"{key}.wav", samples, rate, subtype=subtype)
    wav = {key: folder / f"{key}.wav" for key in clips}
    labels = {key: 1.0 + number for number, key in enumerate(sorted(clips))}
    ratings = [Rating(key, "kim", "mos", value) for key, value in labels.items()]
    return write_data_directory(folder, wav, {"mos": labels}, dict.fromkeys(clips, "s"), ratings)


@pytest.mark.parametrize("encoding", ["flac", "wav"])
def test_sixteen_bits_come_back_bit_for_bit_with_all_labels(tmp_path, encoding):
    stereo = np.stack([NOISE, -NOISE / 2], axis=1)
    source = directory(tmp_path / "data", a=(NOISE, 16000), b=(stereo, 22050), c=(NOISE[:100], 8000))
    packed = write_archive(source, tmp_path / "packed", encoding)
    for key in source.keys:
        ours, theirs = read_audio(packed.wav[key]), read_audio(source.wav[key])
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert (ours.native_rate, ours.flags) == (theirs.native_rate, theirs.flags)
    assert packed.targets == source.targets
    assert (packed.systems, packed.ratings) == (source.systems, source.ratings)
    assert packed.num_samples == {"a": 4000, "b": 4000, "c": 100}
    assert packed.rates == {"a": 16000, "b": 22050, "c": 8000}
    assert check(packed.path).clips == 3


def test_kaldiio_reads_the_archive_as_sixteen_bit_integers(tmp_path):
    source = directory(tmp_path / "data", a=(NOISE, 16000))
    packed = write_archive(source, tmp_path / "packed", "wav")
    rate, samples = kaldiio.load_scp(str(packed.path / "wav.scp"))["a"]
    assert (rate, samples.dtype) == (16000, np.int16)
    np.testing.assert_array_equal(samples / 32768, soundfile.read(source.wav["a"])[0])


def test_entries_are_what_kaldi_reads(tmp_path):
    packed = write_archive(directory(tmp_path / "data", a=(NOISE, 16000), b=(NOISE, 8000)), tmp_path / "packed", "wav")
    content = (packed.path / "wav.ark").read_bytes()
    for key, rate in (("a", 16000), ("b", 8000)):  # wave-reader.cc: key, blank, RIFF with the sizes filled in
        offset = int(packed.wav[key].rpartition(":")[2])
        assert content[offset - 2 : offset] == f"{key} ".encode()
        riff, size, wave, _, _, form, channels, hertz = struct.unpack("<4sI4s4sIHHI", content[offset : offset + 28])
        assert (riff, wave, form, channels, hertz) == (b"RIFF", b"WAVE", 1, 1, rate)
        assert size == 36 + 2 * len(NOISE)
        assert soundfile.info(io.BytesIO(content[offset : offset + 8 + size])).frames == len(NOISE)


def test_wider_samples_keep_24_bits_in_flac_and_are_rounded_in_wav(tmp_path, capsys):
    source = directory(tmp_path / "data", "PCM_24", a=(NOISE, 16000))
    flac = write_archive(source, tmp_path / "flac")
    np.testing.assert_array_equal(read_audio(flac.wav["a"]).samples, read_audio(source.wav["a"]).samples)
    assert "rounded" not in capsys.readouterr().err
    wav = write_archive(source, tmp_path / "wav", "wav")
    error = np.abs(read_audio(wav.wav["a"]).samples - read_audio(source.wav["a"]).samples)
    assert 0 < error.max() <= 2**-16  # half a step
    assert "samples of 1 clips were rounded: a" in capsys.readouterr().err


def test_floats_beyond_full_scale_are_limited_and_told_of(tmp_path, capsys):
    source = directory(tmp_path / "data", "FLOAT", loud=(1.5 * NOISE, 16000))
    packed = write_archive(source, tmp_path / "packed")
    samples = read_audio(packed.wav["loud"]).samples
    np.testing.assert_allclose(samples, np.clip(1.5 * NOISE, -1, 1), atol=2**-23)
    assert "limited to full scale: loud" in capsys.readouterr().err


def test_an_archive_can_be_packed_again(tmp_path):
    source = directory(tmp_path / "data", a=(NOISE, 16000))
    twice = write_archive(write_archive(source, tmp_path / "flac"), tmp_path / "wav", "wav")
    np.testing.assert_array_equal(read_audio(twice.wav["a"]).samples, read_audio(source.wav["a"]).samples)


def test_a_bad_clip_is_named_and_nothing_is_left(tmp_path):
    source = directory(tmp_path / "data", a=(NOISE, 16000), b=(NOISE, 16000))
    (tmp_path / "data" / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"key 'b': .*b\.wav"):
        write_archive(source, tmp_path / "packed")
    assert not list((tmp_path / "packed").iterdir())
    with pytest.raises(DataError, match="needs another folder"):
        write_archive(source, source.path)
    with pytest.raises(DataError, match="encoding 'flak' is not one of flac, wav, did you mean 'flac'"):
        write_archive(source, tmp_path / "packed", "flak")


def test_channels_that_flac_does_not_take_are_told(tmp_path):
    source = directory(tmp_path / "data", a=(np.tile(NOISE[:, None], 9), 16000))
    with pytest.raises(DataError, match=r"key 'a': flac does not take 9 channels at 16000 Hz .*--encoding wav"):
        write_archive(source, tmp_path / "packed")
    assert len(write_archive(source, tmp_path / "wav", "wav").wav) == 1


def scores(path: Path, *items: Score) -> Path:
    with ScoreWriter(path) as writer:
        writer.write(items)
    return path


def test_scores_become_kaldi_text(tmp_path, capsys):
    done = [Score(key, None, {"mos": 3.25, "sig": 4.0}, "ok", (), 1.0, 16000, "model") for key in ("ü", "b-1", "Z", "a")]
    path = scores(tmp_path / "scores.jsonl", *done, Score("c", None, {}, "empty", (), None, None, "model", "no samples"))
    files = write_text(path, tmp_path / "text")
    assert [file.name for file in files] == ["utt2mos", "utt2sig"]
    assert files[0].read_text() == "Z 3.250000\na 3.250000\nb-1 3.250000\nü 3.250000\n"  # as LC_ALL=C sort
    assert "4 clips; 1 without a score are left out" in capsys.readouterr().err


def test_scores_that_are_no_kaldi_text_are_refused(tmp_path):
    one, other = (Score(key, None, {"mos": 3.0}, "ok", (), 1.0, 16000, model) for key, model in (("a", "x"), ("b", "y")))
    with pytest.raises(DataError, match=r"different models or settings \(x, y\)"):
        write_text(scores(tmp_path / "two.jsonl", one, other), tmp_path / "text")
    with pytest.raises(DataError, match=r"keys with white space \('my clip.wav'\)"):
        write_text(scores(tmp_path / "path.jsonl", replace(one, key="my clip.wav")), tmp_path / "text")
    with pytest.raises(DataError, match="none of its 1 clips has a score"):
        write_text(scores(tmp_path / "none.jsonl", replace(one, targets={}, status="empty")), tmp_path / "text")
    assert not (tmp_path / "text").exists()
