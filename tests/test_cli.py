"""The ``distilmos`` command from outside: bad input ends with one clear line, a non-zero status, no half-written file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from distilmos_plugin import cli
from tests.training.material import write_corpus, write_upstream

CONF = """\
system: distilmos
upstream: wavlm_local
upstream_conf: {{ckpt: {ckpt}}}
token_conf: {{clusters: 8, max_frames: 400, iterations: 4}}
model_conf: {{hidden_dim: 8, label_range: [1, 5]}}
loss_conf: {{token_weight: 0.1}}
max_epoch: 1
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "train")
    write_corpus(folder / "dev", seed=1)
    return folder


@pytest.fixture
def data(corpus: Path, tmp_path: Path) -> Path:
    """A copy to damage; its wav.scp names the copy's files."""
    for part in ("train", "dev"):
        shutil.copytree(corpus / part, tmp_path / part)
        scp = tmp_path / part / "wav.scp"
        scp.write_text(scp.read_text().replace(str(corpus), str(tmp_path)))
    return tmp_path


@pytest.fixture(scope="module")
def conf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    path = folder / "small.yaml"
    path.write_text(CONF.format(ckpt=write_upstream(folder / "upstream.pt")))
    return path


def run(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; return its exit status, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["distilmos", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def refused(monkeypatch, capsys, *arguments: object) -> str:
    """Run a command that must refuse its input; return its one message."""
    code, _, err = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "Traceback" not in err
    line = err.strip().splitlines()[-1] if "\n  " not in err else err[err.index("distilmos: error:") :]
    assert line.startswith("distilmos: error: ")
    return line


def train_arguments(data: Path, conf: Path, **changed: object) -> list[object]:
    options = {"conf": conf, "tokens": data / "tokens", "expdir": data / "exp", "ngpu": 0} | changed
    return ["train", data / "train", data / "dev", *(part for name, value in options.items() for part in (f"--{name}", value))]


def test_missing_audio_is_named(data, monkeypatch, capsys):
    (data / "train" / "sys0-clip00.wav").unlink()
    message = refused(monkeypatch, capsys, "corpus", "check", data / "train")
    assert "sys0-clip00" in message
    assert "no such file" in message


def test_a_key_in_one_file_only_is_named_with_both_files(data, monkeypatch, capsys):
    labels = data / "train" / "utt2mos"
    labels.write_text("".join(labels.read_text().splitlines(keepends=True)[1:]))
    for command in (
        ["corpus", "check", data / "train"],
        ["train", data / "train", data / "dev", "--conf", "conf/ssl_mos_tiny.yaml"],
    ):
        arguments = [*command, *(["--expdir", data / "exp"] if command[0] == "train" else [])]
        message = refused(monkeypatch, capsys, *arguments)
        assert "sys0-clip00" in message
        assert "utt2mos" in message
        assert "wav.scp" in message
    assert not (data / "exp").exists()


def test_an_empty_ratings_file_is_refused(data, monkeypatch, capsys):
    (data / "train" / "ratings.tsv").write_text("")
    assert "ratings.tsv" in refused(monkeypatch, capsys, "corpus", "check", data / "train")


def test_a_truncated_wav_is_refused_by_the_check(data, monkeypatch, capsys):
    path = data / "train" / "sys0-clip00.wav"
    path.write_bytes(path.read_bytes()[:5000])
    message = refused(monkeypatch, capsys, "corpus", "check", data / "train")
    assert "truncated" in message
    assert "sys0-clip00.wav" in message


def test_training_stops_at_a_truncated_wav_and_names_it(data, conf, monkeypatch, capsys):
    path = data / "train" / "sys0-clip00.wav"
    path.write_bytes(path.read_bytes()[:5000])
    message = refused(monkeypatch, capsys, *train_arguments(data, conf), "--set", "loss_conf.token_weight=0")
    assert "truncated" in message
    assert "sys0-clip00.wav" in message
    assert not (data / "exp" / "model").exists()


def test_a_misspelt_setting_is_suggested_before_any_work(data, conf, monkeypatch, capsys):
    message = refused(monkeypatch, capsys, *train_arguments(data, conf), "--set", "max_epochs=3")
    assert "unknown key 'max_epochs', did you mean 'max_epoch'?" in message
    message = refused(monkeypatch, capsys, *train_arguments(data, conf), "--set", "model_conf.hiden_dim=3")
    assert "unknown key 'hiden_dim', did you mean 'hidden_dim'?" in message
    assert not (data / "exp").exists()


def test_an_unknown_upstream_is_suggested(data, conf, monkeypatch, capsys):
    message = refused(
        monkeypatch, capsys, "tokens", "learn", data / "train", "--conf", conf, "--set", "upstream=wavlm_bas", "-o", data / "t"
    )
    assert "wavlm_bas" in message
    assert "wavlm_base" in message
    assert not (data / "t").exists()


def test_a_code_book_of_another_upstream_is_refused_and_names_both(data, conf, tmp_path, monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "tokens", "learn", data / "train", "--conf", conf, "-o", data / "tokens")
    assert code == 0, err
    other = write_upstream(tmp_path / "other.pt", seed=1)
    message = refused(
        monkeypatch,
        capsys,
        *("tokens", "extract", data / "train", "--conf", conf, "--set", f"upstream_conf.ckpt={other}", "-o", data / "tokens"),
    )
    assert "code book" in message
    assert not list((data / "tokens").glob("*tokens.*"))


def test_an_unknown_option_or_command_is_a_usage_error(monkeypatch, capsys):
    for arguments in (["score", "--no-such-option"], ["scoer"]):
        code, _, err = run(monkeypatch, capsys, *arguments)
        assert code == 2
        assert "Traceback" not in err


def test_the_version_and_the_doctor_answer(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "--version")
    assert (code, out) == (0, "distilmos-plugin 0.1.0\n")
    code, out, _ = run(monkeypatch, capsys, "doctor")
    assert code == 0
    assert "assets   intact" in out
    assert "extra    train: installed" in out


def test_a_damaged_asset_is_found(tmp_path, monkeypatch):
    from distilmos_plugin import doctor

    package = tmp_path / "package"
    for line in doctor.ASSETS.read_text().splitlines():
        target = package / line.split(maxsplit=1)[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"damaged")
    monkeypatch.setattr(doctor, "PACKAGE", package)
    problems = doctor.asset_problems()
    assert problems
    assert all("SHA-256" in problem for problem in problems)
    target.unlink()
    assert any("is missing" in problem for problem in doctor.asset_problems())


def test_corpora_and_upstreams_are_listed(monkeypatch, capsys):
    assert "mini" in run(monkeypatch, capsys, "corpus", "list")[1]
    lines = run(monkeypatch, capsys, "upstream", "list")[1].splitlines()
    assert lines[0].split() == ["tiny", "runs", "offline", "exact"]
    assert any(line.startswith("wavlm_base_plus ") and "downloads" in line for line in lines)
    shown = run(monkeypatch, capsys, "upstream", "show", "tiny")[1]
    assert "50 frames a second" in shown


@pytest.mark.parametrize("group", [(), ("corpus",), ("submit",), ("tokens",), ("upstream",), ("versa",)])
def test_the_list_of_commands_says_whole_sentences(group, monkeypatch, capsys):
    """At 80 columns; a longer first sentence would be cut in the middle."""
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run(monkeypatch, capsys, *group, "--help")
    commands = out.partition("Commands:\n")[2].splitlines()
    assert status == 0
    assert commands
    assert [line for line in commands if not line.endswith(".")] == []
    assert [line for line in commands if line.endswith("...")] == []


@pytest.mark.parametrize("command", [(), ("score",), ("corpus",), ("submit",), ("corpus", "check")])
def test_help_has_a_short_name_too(command, monkeypatch, capsys):
    assert run(monkeypatch, capsys, *command, "-h") == run(monkeypatch, capsys, *command, "--help")
