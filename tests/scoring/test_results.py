"""Score files: whole or resumable, each key once."""

import json
import os

import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.results import Curve, Score, ScoreWriter, read_scores, to_line, to_row

SIGNATURE = "distilmos|model:a@b|v:0|rate:16000|window:none|prec:fp32"


def good(key: str, mos: float = 3.0, **changes) -> Score:
    values = {
        "path": f"{key}.wav",
        "targets": {"mos": mos},
        "status": "ok",
        "flags": ("clipped", "resampled"),
        "duration": 1.5,
    }
    return Score(**{"key": key, "sample_rate": 8000, "signature": SIGNATURE, **values, **changes})


def bad(key: str, status: str = "unreadable") -> Score:
    return Score(key, f"{key}.wav", {}, status, (), None, None, SIGNATURE, f"{key}.wav: no such file")


ODD_KEYS = [
    "plain",
    "ünïcødé 中文",
    "line\nend",
    "tab\there",
    'quo"te',
    "carriage\rreturn",
    "par\u2028agraph",
    "-",
    "not\udcffutf8",
]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_scores_come_back_as_written(tmp_path, ending):
    scores = [good(key, 1 + i / 7) for i, key in enumerate(ODD_KEYS)] + [bad("b")]
    with ScoreWriter(tmp_path / f"scores.{ending}") as writer:
        writer.write(scores[:3])
        writer.write(scores[3:])
    read = read_scores(tmp_path / f"scores.{ending}")
    assert [score.key for score in read] == [*ODD_KEYS, "b"]
    assert [score.status for score in read] == ["ok"] * len(ODD_KEYS) + ["unreadable"]
    assert read[1].mos == pytest.approx(1 + 1 / 7, abs=1e-6)  # files hold 6 decimals
    assert read[0].flags == ("clipped", "resampled")
    assert (read[0].duration, read[0].sample_rate, read[0].signature) == (1.5, 8000, SIGNATURE)
    assert read[-1].mos is None
    assert read[-1].reason == "b.wav: no such file"


def test_a_line_has_the_documented_fields(tmp_path):
    row = json.loads(to_line(good("a", targets={"mos": 3.25, "sig": 4.0})))
    assert list(row) == ["key", "path", "mos", "sig", "status", "flags", "duration", "sample_rate", "signature"]
    assert to_row(bad("b"))["mos"] is None


def test_frame_scores_come_back_from_json_lines(tmp_path):
    curve = Curve("window", 30.0, 60.0, {"mos": (3.0, 4.0)})
    with ScoreWriter(tmp_path / "scores.jsonl") as writer:
        writer.write([good("a", frames=curve)])
    assert read_scores(tmp_path / "scores.jsonl")[0].frames == curve


def test_the_file_appears_whole_and_only_at_the_end(tmp_path):
    output = tmp_path / "scores.jsonl"
    with ScoreWriter(output) as writer:
        writer.write([good("a")])
        assert not output.exists()
        assert [score.key for score in read_scores(writer.part)] == ["a"]  # flushed: a kill loses nothing written
        writer.write([good("b")])
    assert [score.key for score in read_scores(output)] == ["a", "b"]
    assert not writer.part.exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_resume_goes_on_after_a_torn_last_line(tmp_path, ending):
    output = tmp_path / f"scores.{ending}"
    lines = [to_line(good(key)) for key in "abc"]
    (tmp_path / f"scores.{ending}.part").write_bytes(lines[0] + lines[1] + lines[2][:-9])
    with ScoreWriter(output, resume=True, signature=SIGNATURE) as writer:
        assert writer.done == {"a", "b"}
        writer.write([good("c"), good("d")])
    assert [score.key for score in read_scores(output)] == ["a", "b", "c", "d"]


def test_a_last_line_that_only_lacks_its_end_is_written_again(tmp_path):
    (tmp_path / "scores.jsonl.part").write_bytes(to_line(good("a")) + to_line(good("b"))[:-1])
    writer = ScoreWriter(tmp_path / "scores.jsonl", resume=True)
    assert writer.done == {"a"}
    assert (tmp_path / "scores.jsonl.part").read_bytes() == to_line(good("a"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_resume_adds_to_a_complete_file(tmp_path, ending):
    output = tmp_path / f"scores.{ending}"
    with ScoreWriter(output) as writer:
        writer.write([good("a"), bad("b")])
    with ScoreWriter(output, resume=True, signature=SIGNATURE) as writer:
        assert writer.done == {"a", "b"}
        writer.write([good("c")])
    assert [score.key for score in read_scores(output)] == ["a", "b", "c"]


def test_resume_with_nothing_to_do_leaves_the_file_alone(tmp_path):
    output = tmp_path / "scores.jsonl"
    with ScoreWriter(output) as writer:
        writer.write([good("a")])
    before = output.stat()
    with ScoreWriter(output, resume=True, signature=SIGNATURE):
        pass
    assert (output.stat().st_mtime_ns, output.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_without_resume_a_run_starts_anew_and_replaces_the_file_at_its_end(tmp_path):
    output = tmp_path / "scores.jsonl"
    output.write_bytes(to_line(good("old")))
    (tmp_path / "scores.jsonl.part").write_bytes(to_line(good("older")))
    with ScoreWriter(output) as writer:
        writer.write([good("new")])
        assert [score.key for score in read_scores(output)] == ["old"]
    assert [score.key for score in read_scores(output)] == ["new"]


def test_an_error_leaves_what_was_scored_for_a_resume(tmp_path):
    def run():
        with ScoreWriter(tmp_path / "scores.csv") as writer:
            writer.write([good("a")])
            raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        run()
    assert not (tmp_path / "scores.csv").exists()
    assert ScoreWriter(tmp_path / "scores.csv", resume=True).done == {"a"}


@pytest.mark.parametrize("part", ["", ".part"])
def test_resume_keeps_no_score_of_another_model(tmp_path, part):
    output = tmp_path / "scores.jsonl"
    (tmp_path / f"scores.jsonl{part}").write_bytes(
        to_line(good("a", signature="distilmos|model:other@1")) + to_line(good("b"))
    )
    with ScoreWriter(output, resume=True, signature=SIGNATURE) as writer:
        assert (writer.done, writer.outdated) == ({"b"}, 1)
        writer.write([good("a", 4.0)])
    assert {score.key: score.mos for score in read_scores(output)} == {"b": 3.0, "a": 4.0}
    assert os.listdir(tmp_path) == ["scores.jsonl"]


def test_resume_keeps_no_score_of_a_file_that_has_changed_since(tmp_path):
    scores = [good(name, path=str(tmp_path / f"{name}.wav")) for name in ("new", "old", "gone")]
    (tmp_path / "scores.jsonl").write_bytes(b"".join(map(to_line, scores)))
    written = (tmp_path / "scores.jsonl").stat().st_mtime
    for name, age in (("new", -10), ("old", 10)):
        (tmp_path / f"{name}.wav").touch()
        os.utime(tmp_path / f"{name}.wav", (written - age, written - age))
    assert ScoreWriter(tmp_path / "scores.jsonl", resume=True, signature=SIGNATURE).done == {"old", "gone"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json}\n", "line 2: not a score"),
        (b'{"path": "a.wav", "mos": 3.0}\n', "line 2: not a score .no 'status'"),
        (to_line(good("b")).replace(b'"ok"', b'"fine"'), "unknown status 'fine'"),
        (to_line(good("b")).replace(b'"ok"', b'"empty"'), "status 'empty' with 1 scores"),
        (b'["a", 3.0]\n', "line 2: not a score"),
        (to_line(good("a")), "more than one score for a"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, line, message):
    (tmp_path / "scores.jsonl").write_bytes(to_line(good("a")) + line + to_line(good("z")))
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "scores.jsonl")


def test_missing_file_and_unknown_ending_are_said(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "scores.jsonl")
    with pytest.raises(DataError, match=r"expected the ending \.jsonl, \.csv, \.tsv"):
        ScoreWriter(tmp_path / "scores.xlsx")
