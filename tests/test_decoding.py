"""Sound files of every kind, and everything that can be wrong with one."""

import contextlib
import io
import os
import pickle
import shutil
import struct
import subprocess
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilmos_plugin.audio import AudioProblem, open_audio, probe, read_audio

RATE = 16000
TIME = np.arange(RATE) / RATE
SIGNAL = (0.3 * np.sin(2 * np.pi * 440 * TIME) + 0.1 * np.sin(2 * np.pi * 1234 * TIME)).astype(np.float32)
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")


@pytest.fixture(autouse=True)
def _libsndfile_alone(request, monkeypatch):
    """Hide ffmpeg, so that a file that libsndfile should read cannot pass by another way."""
    if "ffmpeg" not in request.node.name:
        monkeypatch.setenv("PATH", "")


def encoded(samples=SIGNAL, rate=RATE, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def problem(source, **options):
    with pytest.raises(AudioProblem) as caught:
        read_audio(source, **options)
    return caught.value


class TestFormats:
    @pytest.mark.parametrize(
        ("kind", "subtype", "error"),
        [  # error: one quantisation step of the format
            ("WAV", "PCM_U8", 2**-7),
            ("WAV", "PCM_16", 2**-15),
            ("WAV", "PCM_24", 2**-23),
            ("WAV", "PCM_32", 2**-23),  # float32 holds no more
            ("WAV", "FLOAT", 0),
            ("WAV", "DOUBLE", 0),
            ("WAV", "ALAW", 2**-6),
            ("WAV", "ULAW", 2**-6),
            ("WAVEX", "PCM_24", 2**-23),
            ("RF64", "PCM_16", 2**-15),
            ("W64", "PCM_16", 2**-15),
            ("AIFF", "PCM_16", 2**-15),
            ("AU", "PCM_16", 2**-15),
            ("CAF", "PCM_16", 2**-15),
            ("NIST", "PCM_16", 2**-15),
            ("FLAC", "PCM_16", 2**-15),
            ("FLAC", "PCM_24", 2**-23),
        ],
    )
    def test_uncompressed_and_lossless(self, tmp_path, kind, subtype, error):
        (tmp_path / "a").write_bytes(encoded(kind=kind, subtype=subtype))
        audio = read_audio(tmp_path / "a")
        np.testing.assert_allclose(audio.samples, SIGNAL, atol=error)
        assert (audio.native_rate, audio.duration, audio.flags) == (RATE, 1.0, ())

    @pytest.mark.parametrize(
        ("kind", "subtype"),
        [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610")],
    )
    def test_lossy(self, tmp_path, kind, subtype):
        rate = 8000 if subtype == "GSM610" else RATE
        (tmp_path / "a").write_bytes(encoded(SIGNAL[:: RATE // rate], rate, kind, subtype))
        samples = read_audio(tmp_path / "a", RATE).samples[:RATE]
        assert np.corrcoef(samples, SIGNAL[: len(samples)])[0, 1] > 0.98  # lossy, but the same sound at the same time

    def test_paths_bytes_and_file_objects_are_one(self, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(encoded())
        expected = read_audio(path).samples
        with open(path, "rb") as file:
            sources = [str(path), path.read_bytes(), bytearray(path.read_bytes()), io.BytesIO(path.read_bytes()), file]
            for source in sources:
                np.testing.assert_array_equal(read_audio(source).samples, expected)

    def test_eight_channels_at_192_khz(self):
        audio = read_audio(encoded(np.tile(SIGNAL[:, None], (1, 8)), 192000), RATE)
        assert audio.flags == ("stereo_downmixed", "resampled")
        assert len(audio.samples) == round(RATE * RATE / 192000)

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.raw", "a.txt", "a"])
    def test_the_content_decides_not_the_ending(self, tmp_path, name):
        (tmp_path / name).write_bytes(encoded(kind="FLAC"))
        assert probe(tmp_path / name) == (RATE, RATE)

    @pytest.mark.parametrize("name", ["héllo 音声.wav", "a\nb.wav", " .wav", "a|b|", "b.ark:17", "-", 'it\'s "a".wav'])
    def test_names_with_any_character(self, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        Path(name).write_bytes(encoded())
        assert probe(name) == probe(Path(name)) == (RATE, RATE)

    def test_a_name_that_is_not_utf8(self, tmp_path):
        path = os.path.join(os.fsencode(tmp_path), b"\xff.wav")
        with open(path, "wb") as file:
            file.write(encoded())
        assert probe(os.fsdecode(path)) == (RATE, RATE)

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_handful_of_samples_is_read_as_it_is(self, count):
        np.testing.assert_allclose(read_audio(encoded(SIGNAL[:count])).samples, SIGNAL[:count], atol=2**-15)
        assert len(read_audio(encoded(SIGNAL[:count], 48000), RATE).samples) == round(count / 3)


class TestMissingAndForbidden:
    def test_no_such_file(self, tmp_path):
        error = problem(tmp_path / "gone.wav")
        assert (error.status, str(error)) == ("unreadable", f"{tmp_path}/gone.wav: no such file")

    def test_a_directory_named_like_a_file(self, tmp_path):
        (tmp_path / "x.wav").mkdir()
        assert "is a directory" in str(problem(tmp_path / "x.wav"))

    def test_a_circle_of_symbolic_links(self, tmp_path):
        (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
        (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
        assert "symbolic links" in str(problem(tmp_path / "a.wav"))

    def test_a_broken_link(self, tmp_path):
        (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
        assert "no such file" in str(problem(tmp_path / "a.wav"))

    def test_a_named_pipe_does_not_hang_the_run(self, tmp_path):
        os.mkfifo(tmp_path / "a.wav")
        assert "not a regular file" in str(problem(tmp_path / "a.wav"))

    def test_no_permission(self, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(encoded())
        path.chmod(0)
        with _not_root():
            assert "no permission" in str(problem(path))

    @pytest.mark.parametrize("name", ["a" * 300 + ".wav", "a\0b.wav", ""])
    def test_names_that_no_file_can_have(self, name):
        assert problem(name).status == "unreadable"

    def test_a_name_with_a_line_end_is_quoted_in_the_message(self, tmp_path):
        assert "\n" not in str(problem(tmp_path / "a\nb.wav"))

    def test_a_file_object_in_text_mode(self):
        assert "'rb'" in str(problem(io.StringIO("RIFF")))

    def test_a_closed_file_object(self):
        file = io.BytesIO(encoded())
        file.close()
        assert problem(file).status == "unreadable"


@contextlib.contextmanager
def _not_root():
    """Give up root's right to read everything, if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("runs as a root that cannot become another user, and root may read everything")
    try:
        yield
    finally:
        os.seteuid(0)


class TestDamage:
    def test_no_bytes(self, tmp_path):
        (tmp_path / "a.wav").touch()
        assert problem(tmp_path / "a.wav").status == "empty"

    @pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF", "AU"])
    def test_a_header_without_samples(self, kind):
        assert problem(encoded(SIGNAL[:0], kind=kind)).status == "empty"

    @pytest.mark.parametrize(
        ("kind", "subtype"),
        [(kind, "PCM_16") for kind in ("WAV", "WAVEX", "RF64", "AIFF", "AU")]
        + [("WAV", subtype) for subtype in ("PCM_24", "ALAW", "FLOAT", "MS_ADPCM")]
        + [("MP3", "MPEG_LAYER_III")],
    )
    def test_a_truncated_file_says_what_is_missing(self, kind, subtype):
        data = encoded(kind=kind, subtype=subtype)
        error = problem(data[: len(data) // 2])
        assert error.status == "unreadable"
        expected, found = (int(word) for word in str(error).replace(",", "").split() if word.isdigit())
        exact = subtype not in ("MS_ADPCM", "MPEG_LAYER_III")  # a part of a block, and bits that are spent unevenly
        assert expected == pytest.approx(RATE, rel=0 if exact else 0.15)
        assert found == pytest.approx(RATE / 2, rel=0.01 if exact else 0.4)  # 0.01: the header is a part of the half

    @pytest.mark.parametrize(("kind", "subtype"), [("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("CAF", None)])
    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_a_truncated_file_of_other_formats_is_unreadable(self, kind, subtype, share):
        long = np.tile(SIGNAL, 8)  # several Ogg pages
        data = encoded(long, kind=kind, subtype=subtype)
        assert problem(data[: int(share * len(data))]).status == "unreadable"

    def test_truncation_is_found_by_probe_and_in_pieces_too(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(encoded()[:-10000])
        for way in (probe, open_audio):
            with pytest.raises(AudioProblem, match="truncated"):
                way(tmp_path / "a.wav")

    def test_a_miscounted_header_of_a_few_bytes_is_no_truncation(self):
        assert len(read_audio(encoded()[:-100]).samples) == RATE - 50

    @pytest.mark.parametrize("cut", [1, 8, 12, 30, 43])
    def test_a_cut_header(self, cut):
        assert problem(encoded()[:cut]).status in ("unreadable", "empty")

    @pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000, 2**31])
    def test_a_rate_that_no_audio_has(self, rate):
        data = bytearray(encoded())
        data[24:28] = struct.pack("<I", rate)
        assert "corrupted" in str(problem(bytes(data)))

    def test_damage_inside_a_flac(self):
        data = bytearray(encoded(kind="FLAC"))
        data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
        assert "corrupted" in str(problem(bytes(data)))

    def test_not_finite_floats_in_a_file(self):
        samples = SIGNAL.copy()
        samples[100] = np.nan
        assert problem(encoded(samples, subtype="FLOAT")).status == "non_finite"

    def test_text(self):
        error = problem(b"key path\n" * 100)
        assert error.status == "unreadable"
        assert "ffmpeg" in str(error)


class TestKaldiArchives:
    @pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 32768), (np.uint8, 128)])
    def test_wav_entries(self, tmp_path, dtype, scale):
        offset = 128 if dtype == np.uint8 else 0
        samples = np.round(SIGNAL * scale + offset).astype(dtype)
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, samples), "y": (8000, samples)}, scp=str(tmp_path / "wav.scp"))
        entries = dict(line.split(maxsplit=1) for line in (tmp_path / "wav.scp").read_text().splitlines())
        audio = read_audio(entries["x"])
        np.testing.assert_allclose(audio.samples, SIGNAL, atol=1 / scale)
        assert probe(entries["y"]) == (RATE, 8000)

    def test_flac_entries_and_channels(self, tmp_path):
        stereo = np.stack([SIGNAL, SIGNAL], axis=1)
        scp = tmp_path / "wav.scp"
        entries = {"x": (stereo, RATE), "y": (stereo, RATE)}
        kaldiio.save_ark(
            str(tmp_path / "a.ark"), entries, scp=str(scp), write_function="soundfile", write_kwargs={"format": "flac"}
        )
        for line in scp.read_text().splitlines():
            audio = read_audio(line.split(maxsplit=1)[1])
            np.testing.assert_allclose(audio.samples, SIGNAL, atol=2**-15)
            assert audio.flags == ("stereo_downmixed",)

    @pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("wrapped", [True, False], ids=["kaldiio", "kaldi"])
    def test_every_width_of_a_sample_has_the_scale_that_it_has_as_a_file(self, tmp_path, subtype, wrapped):
        soundfile.write(tmp_path / "a.wav", SIGNAL, RATE, subtype=subtype)
        ark = tmp_path / "a.ark"
        if wrapped:
            options = {"write_function": "soundfile", "write_kwargs": {"subtype": subtype}}
            kaldiio.save_ark(str(ark), {"x": (RATE, SIGNAL), "y": (RATE, SIGNAL)}, **options)
        else:
            ark.write_bytes(b"x " + (tmp_path / "a.wav").read_bytes() + b"y " + (tmp_path / "a.wav").read_bytes())
        np.testing.assert_array_equal(read_audio(f"{ark}:2").samples, read_audio(tmp_path / "a.wav").samples)

    def test_sixteen_bits_are_divided_by_32768(self, tmp_path):
        samples = np.array([-32768, -1, 0, 1, 16384, 32767] * 200, dtype=np.int16)
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, samples)})
        np.testing.assert_array_equal(read_audio(f"{tmp_path}/a.ark:2").samples, samples / np.float32(32768))

    @pytest.mark.parametrize("values", [np.zeros(9, np.float32), np.zeros((9, 1), np.float64)])
    def test_samples_as_a_vector_lack_their_rate(self, tmp_path, values):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": values})
        assert "has no sampling rate" in str(problem(f"{tmp_path}/a.ark:2"))
        kaldiio.save_ark(str(tmp_path / "b.ark"), {"x": values}, write_function="numpy")
        assert "has no sampling rate" in str(problem(f"{tmp_path}/b.ark:2"))

    def test_floats_that_nobody_scaled_are_told(self, tmp_path):
        options = {"write_function": "soundfile", "write_kwargs": {"subtype": "FLOAT"}}
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, 32768 * SIGNAL)}, **options)
        assert "integers stored as floats" in str(problem(f"{tmp_path}/a.ark:2"))

    def test_a_wav_that_was_streamed_does_not_swallow_the_next_one(self, tmp_path):
        content = bytearray(encoded(SIGNAL))
        content[4:8] = b"\xff\xff\xff\xff"
        (tmp_path / "a.ark").write_bytes(b"x " + bytes(content) + b"y " + bytes(content))
        assert "does not say how long it is" in str(problem(f"{tmp_path}/a.ark:2"))

    def test_a_truncated_kaldiio_entry(self, tmp_path):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, SIGNAL)}, write_function="soundfile")
        content = (tmp_path / "a.ark").read_bytes()
        for cut in (9000, 9, 7):
            (tmp_path / "a.ark").write_bytes(content[:cut])
            assert problem(f"{tmp_path}/a.ark:2").status in ("unreadable", "empty")

    @pytest.mark.parametrize("start", [b"AUDIO\xff" + b"\xff" * 255, b"RIFF\xff\xff\xef\x7fWAVE", b"AUDIO", b"RIFF", b"fLaC"])
    def test_a_damaged_length_does_not_become_memory(self, tmp_path, start):
        (tmp_path / "a.ark").write_bytes(b"x " + start)
        assert problem(f"{tmp_path}/a.ark:2").status in ("unreadable", "empty")

    def test_a_truncated_archive(self, tmp_path):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, np.int16(SIGNAL * 32768))})
        (tmp_path / "a.ark").write_bytes((tmp_path / "a.ark").read_bytes()[:9000])
        assert "truncated" in str(problem(f"{tmp_path}/a.ark:2"))

    def test_a_pickle_in_an_archive_is_never_loaded(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "trapped",))

        (tmp_path / "a.ark").write_bytes(b"x PKL" + pickle.dumps(Trap()))
        assert "no audio" in str(problem(f"{tmp_path}/a.ark:2"))
        assert not (tmp_path / "trapped").exists()

    def test_features_are_no_audio(self, tmp_path):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": np.zeros((9, 80), np.float32)})
        assert "a matrix or vector" in str(problem(f"{tmp_path}/a.ark:2"))

    @pytest.mark.parametrize("offset", [3, 10**6])
    def test_a_wrong_place_in_an_archive(self, tmp_path, offset):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, np.int16(SIGNAL * 32768))})
        assert problem(f"{tmp_path}/a.ark:{offset}").status == "unreadable"


class TestCommandPipes:
    def test_they_are_refused(self, tmp_path):
        error = problem(f"touch {tmp_path}/ran |")
        assert "--allow-pipes" in str(error)
        assert not (tmp_path / "ran").exists()

    def test_they_run_where_allowed(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", os.defpath)
        (tmp_path / "a.wav").write_bytes(encoded())
        np.testing.assert_allclose(read_audio(f"cat {tmp_path}/a.wav |", allow_pipes=True).samples, SIGNAL, atol=2**-15)

    def test_a_failing_command_says_why(self, monkeypatch):
        monkeypatch.setenv("PATH", os.defpath)
        assert "exit status 3: broken" in str(problem("echo broken >&2; exit 3 |", allow_pipes=True))


@needs_ffmpeg
class TestThroughFfmpeg:
    """What libsndfile does not read. The test names hold 'ffmpeg', which leaves the PATH as it is."""

    @pytest.mark.parametrize(
        "arguments", [["-c:a", "aac", "a.m4a"], ["-c:a", "libopus", "a.webm"], ["-c:a", "wmav2", "a.wma"]]
    )
    def test_ffmpeg_decodes_files_and_bytes(self, tmp_path, arguments):
        path = self.converted(tmp_path, arguments)
        for source in (path, path.read_bytes()):
            audio = read_audio(source, RATE)
            assert audio.duration == pytest.approx(1.0, abs=0.1)  # AAC and WMA pad to whole frames
            middle = audio.samples[RATE // 4 : RATE // 2]  # the codecs ring at the abrupt ends
            assert middle.std() == pytest.approx(SIGNAL.std(), rel=0.1)

    def test_ffmpeg_reads_a_w64_of_floats_which_libsndfile_takes_for_integers(self, tmp_path):
        path = self.converted(tmp_path, ["-c:a", "pcm_f32le", "a.w64"])
        np.testing.assert_allclose(read_audio(path).samples, SIGNAL, atol=2**-15)

    def test_a_wav_from_an_ffmpeg_pipe_is_whole(self, tmp_path):
        (tmp_path / "in.wav").write_bytes(encoded())
        command = [FFMPEG, "-v", "error", "-i", tmp_path / "in.wav", "-f", "wav", "-"]
        assert len(read_audio(subprocess.run(command, capture_output=True, check=True).stdout).samples) == RATE

    @pytest.mark.parametrize("arguments", [["-c:a", "aac", "-movflags", "+faststart", "a.m4a"], ["-c:a", "libopus", "a.webm"]])
    def test_ffmpeg_finds_truncation(self, tmp_path, arguments):
        path = self.converted(tmp_path, arguments)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        assert problem(path).status == "unreadable"

    def test_ffmpeg_leaves_nothing_behind(self, tmp_path, monkeypatch):
        path = self.converted(tmp_path, ["-c:a", "aac", "a.m4a"])
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        with open_audio(path, RATE) as reader:
            assert not list((tmp_path / "tmp").iterdir())
            assert len(reader.read(0, 8000)) == 8000

    def test_ffmpeg_that_fails_gives_its_reason(self, tmp_path):
        (tmp_path / "a.m4a").write_bytes(b"not audio at all" * 100)
        assert "neither libsndfile nor ffmpeg" in str(problem(tmp_path / "a.m4a"))

    @staticmethod
    def converted(folder, arguments):
        (folder / "in.wav").write_bytes(encoded())
        subprocess.run([FFMPEG, "-v", "error", "-i", "in.wav", *arguments], cwd=folder, check=True)
        return folder / arguments[-1]


SEEDS = [
    encoded(SIGNAL[:2000], kind=kind, subtype=subtype) for kind, subtype in [("WAV", None), ("WAV", "FLOAT"), ("FLAC", None)]
]
SEEDS += [
    encoded(SIGNAL[:2000], kind=kind, subtype=subtype) for kind, subtype in [("OGG", "VORBIS"), ("AIFF", None), ("AU", None)]
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=4)), max_size=4),
    length=st.integers(0, 6000),
)
def test_mutated_files_give_audio_or_a_typed_problem(seed, changes, length):
    data = bytearray(seed)
    for position, value in changes:
        data[position : position + len(value)] = value
    try:
        audio = read_audio(bytes(data[:length]))
    except AudioProblem as error:
        audio = error
    if isinstance(audio, AudioProblem):
        assert audio.status in ("unreadable", "empty", "non_finite")
        assert str(audio)
    else:
        assert np.isfinite(audio.samples).all()
        assert len(audio.samples) > 0
