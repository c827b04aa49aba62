"""`distilmos score`: results to a file or the terminal, counts, resume after a kill."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring import models, run
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.scoring.run import score_paths

from .material import speech, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    for i in range(5):
        write(folder / f"sys{i % 2}-{i}.wav", speech(0.5 + 0.3 * i, seed=i))
    return folder


@pytest.fixture(autouse=True)
def _load_once(monkeypatch, release):
    """Load the model once for all tests of this file; each test is told anew what it is."""
    monkeypatch.setattr(models, "_announced", set())
    monkeypatch.setattr(
        run, "load", lambda *arguments, known=run.load, cache=_LOADED: cache.setdefault(arguments, known(*arguments))
    )


_LOADED: dict = {}


def score(paths, release, **options):
    return score_paths(paths, model=release, device="cpu", **options)


def test_all_scored_is_exit_code_0_and_the_count_is_on_the_last_line(folder, release, tmp_path, capsys):
    outcome = score([folder], release, output=tmp_path / "scores.jsonl")
    assert outcome.exit_code == 0
    scores = read_scores(tmp_path / "scores.jsonl")
    assert [os.path.basename(score.key) for score in scores] == sorted(os.listdir(folder))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "model small_distilmos@" in printed.err
    assert ": Random weights, for tests." in printed.err
    last = printed.err.splitlines()[-1]
    assert last.startswith("5 of 5 clips scored; 5.5 s of audio in ")
    assert last.endswith(f" x real time; {tmp_path / 'scores.jsonl'}")


def test_a_clip_without_a_score_is_exit_code_3_and_said(folder, release, tmp_path, capsys):
    (tmp_path / "empty.wav").write_bytes(b"")
    outcome = score([folder, tmp_path / "empty.wav", tmp_path / "missing.wav"], release, output=tmp_path / "scores.jsonl")
    assert (outcome.exit_code, outcome.failed) == (3, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("5 of 7 clips scored, 2 without a score (unreadable 1, empty 1)")
    assert f"no score: {tmp_path / 'missing.wav'}: no such file" in lines


def test_a_data_directory_of_another_working_directory_is_recognised(folder, release, tmp_path, monkeypatch, capsys):
    names = sorted(os.listdir(folder))
    (tmp_path / "wav.scp").write_text("".join(f"utt{i} {folder.name}/{name}\n" for i, name in enumerate(names)))
    monkeypatch.chdir(tmp_path)
    assert score([tmp_path], release).exit_code == 3
    assert f"relative paths of a wav.scp start at the working directory, {tmp_path}" in capsys.readouterr().err
    monkeypatch.chdir(folder.parent)
    assert score([tmp_path], release).exit_code == 0
    assert "working directory" not in capsys.readouterr().err


def test_without_an_output_there_is_a_table(folder, release, capsys):
    score([folder, "missing.wav"], release)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["mos", "seconds", "status", "flags", "clip"]
    assert lines[1].split()[1:] == ["0.50", "ok", "-", str(folder / "sys0-0.wav")]
    assert lines[-1].split() == ["-", "-", "unreadable", "-", "missing.wav"]


@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv"])
def test_a_format_without_an_output_goes_to_standard_output(folder, release, format, capfd):
    score([folder], release, format=format)
    text = capfd.readouterr().out
    rows = list(map(json.loads, text.splitlines())) if format == "jsonl" else _table(text, format)
    assert [os.path.basename(row["key"]) for row in rows] == sorted(os.listdir(folder))


def _table(text, format):
    return list(csv.DictReader(io.StringIO(text), delimiter="," if format == "csv" else "\t"))


def test_summary_by_system(folder, release, tmp_path, capsys):
    score([folder], release, output=tmp_path / "scores.csv", system_from=r"(sys\d)-")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["n", "mean", "sd", "median", "p5", "p95"]
    assert [line.split()[:-5] for line in lines[1:4]] == [["mos", "5"], ["sys0", "mos", "3"], ["sys1", "mos", "2"]]
    mean = np.mean([score.mos for score in read_scores(tmp_path / "scores.csv")])
    assert float(lines[1].split()[2]) == pytest.approx(mean, abs=6e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "scores.txt"}, "cannot tell the format"),
        ({"output": "scores.csv", "frames": True}, "not into csv"),
        ({"frames": True}, "need an output"),
        ({"resume": True}, "needs the output"),
        ({"system_from": "("}, "not a regular expression"),
    ],
)
def test_a_wrong_call_is_said_before_any_work(options, message):
    with pytest.raises(DataError, match=message):
        score_paths(["missing.wav"], model="no such model", **options)


def test_frame_scores_are_in_the_output(folder, release, tmp_path):
    score([folder / "sys0-0.wav"], release, output=tmp_path / "scores.jsonl", frames=True)
    assert len(read_scores(tmp_path / "scores.jsonl")[0].frames.targets["mos"]) == 24


def test_resume_scores_only_what_is_missing(folder, release, tmp_path, capsys):
    output = tmp_path / "scores.jsonl"
    paths = sorted(folder.iterdir())
    score(paths[:3], release, output=output)
    before = read_scores(output)
    outcome = score(paths, release, output=output, resume=True)
    assert (outcome.resumed, outcome.status["ok"]) == (3, 5)
    assert read_scores(output)[:3] == before
    capsys.readouterr()
    assert score(paths, release, output=output, resume=True).exit_code == 0
    printed = capsys.readouterr().err
    assert f"{output} is complete and current, nothing to do" in printed
    assert printed.splitlines()[-1] == f"5 of 5 clips scored; 5 of them were done before; {output}"


RUN = """
import sys
from distilmos_plugin.scoring.run import score_paths
score_paths([sys.argv[1]], model=sys.argv[2], device="cpu", output=sys.argv[3], resume=True, batch_seconds=1)
"""


def test_a_run_killed_at_any_moment_ends_with_each_key_once(release, tmp_path):
    """2,000 clips, killed with -9 three times: as soon as it writes, and twice while it writes; then resumed to its end."""
    files = [write(tmp_path / f"{i}.wav", speech(0.05, seed=i)) for i in range(20)]
    wanted = {f"utt{i:04}": files[i % len(files)] for i in range(2000)}
    wav_scp = tmp_path / "wav.scp"
    wav_scp.write_text("".join(f"{key} {path}\n" for key, path in wanted.items()))
    output, part = tmp_path / "scores.jsonl", tmp_path / "scores.jsonl.part"
    command = [sys.executable, "-c", RUN, wav_scp, release, output]
    for lines in (1, 700, 1400):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not (part.exists() and part.read_bytes().count(b"\n") >= lines):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not output.exists()
    with open(part, "ab") as file:
        file.write(b'{"key": "torn')  # a kill in mid-write, which is too rare to wait for
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert Counter(score.key for score in read_scores(output)) == Counter(wanted.keys())
    assert not part.exists()


def test_an_interrupt_says_how_to_go_on(folder, release, tmp_path, monkeypatch, capsys):
    def interrupted(self, scores, write=run.ScoreWriter.write):
        if len(self.done) == 2:
            raise KeyboardInterrupt
        write(self, scores)

    monkeypatch.setattr(run.ScoreWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score([folder], release, output=tmp_path / "scores.jsonl")
    assert "2 scores are in" in capsys.readouterr().err
    assert len(read_scores(tmp_path / "scores.jsonl.part")) == 2
