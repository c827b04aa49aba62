"""run.sh from code books to release on a very small corpus: every file, a second call that does nothing, redone inference."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from tests.training.material import write_corpus

ROOT = Path(__file__).parent.parent
FILES = [
    "config.yaml",
    "RESULTS.md",
    "model/config.yaml",
    "model/model.safetensors",
    "model/README.md",
    "test/scores.jsonl",
    "test/metrics.json",
    "test/report.html",
]


def recipe(folder: Path, *options: str) -> str:
    """Run the recipe on the small corpus; return what it printed."""
    command = [str(ROOT / "run.sh"), "--datadir", folder / "data", "--expdir", folder / "exp", "--ngpu", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("recipe")
    for seed, part in enumerate(("train", "dev", "test")):
        write_corpus(folder / "data" / part, seed=seed)
    settings = "max_epoch=2 token_conf.clusters=16 token_conf.max_frames=800"
    return folder, recipe(folder, "--stage", "2", "--train_args", settings)


def test_every_file_of_an_experiment_is_there(finished):
    folder, printed = finished
    for name in FILES:
        assert (folder / "exp" / name).is_file(), name
    assert list((folder / "exp" / "test").glob("*.png"))
    assert list((folder / "exp" / "checkpoints").iterdir())
    metrics = json.loads((folder / "exp" / "test" / "metrics.json").read_text())
    assert (metrics["n_utterances"], metrics["n_systems"]) == (12, 4)
    card = (folder / "exp" / "model" / "README.md").read_text()
    assert "SRCC" in card
    for number in range(2, 9):
        assert f"stage {number} done in" in printed


def test_a_second_call_does_nothing_and_says_so(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "exp").rglob("*") if path.is_file()}
    scores = folder / "exp" / "test" / "scores.jsonl"
    settings = "max_epoch=2 token_conf.clusters=16 token_conf.max_frames=800"
    # Not through --stage, which asks for inference again; the corpus is a stranger to stage 1, so it starts at 2 by hand.
    printed = recipe(folder, "--stage", "2", "--stop_stage", "4", "--train_args", settings)
    assert printed.count("complete and current") == 2
    assert "trained already" in printed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    scored = scores.read_text()
    recipe(folder, "--stage", "5", "--stop_stage", "5")
    assert scores.stat().st_mtime_ns > before[scores]
    assert scores.read_text() == scored


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stag", "1"], "unknown option --stag"),
        (["--stage"], "--stage needs a value"),
        (["--stage", "x"], "--stage needs a number, found 'x'"),
        (["--conf", "conf/none.yaml"], "no such configuration: conf/none.yaml"),
        (["--trainer", "espnt"], "--trainer is lightning or espnet, found 'espnt'"),
        (["4"], "'4' is not an option"),
        (["--stage", "5", "--stop_stage", "3"], "--stage 5 comes after --stop_stage 3"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    done = subprocess.run([str(ROOT / "run.sh"), *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_help_lists_every_option():
    shown = subprocess.run([str(ROOT / "run.sh"), "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    for option in [
        "stage",
        "stop_stage",
        "corpus",
        "conf",
        "upstream",
        "data_root",
        "ngpu",
        "nnodes",
        "nj",
        "tag",
        "expdir",
        "test_sets",
        "trainer",
        "seed",
    ]:
        assert f"\n{option}=" in shown.stdout


def test_a_configuration_may_name_a_teacher_that_is_trained_first(tmp_path):
    """One command: the teacher is trained, labels train and dev, and the student learns from its scores."""
    for seed, part in enumerate(("train", "dev", "test")):
        data = write_corpus(tmp_path / "data" / part, seed=seed)
        write_data_directory(data.path, data.wav, data.targets | {"pesq": data.targets["mos"]}, data.systems)
    shared = "upstream: tiny\nmax_epoch: 1\nnum_workers: 0\nupstream_conf: {trainable: false}\n"
    teacher, student = tmp_path / "teacher.yaml", tmp_path / "student.yaml"
    teacher.write_text(f"system: ssl_mos\ntargets: [pesq]\n{shared}")
    student.write_text(
        f"system: ssl_mos\ntargets: [mos, pesq]\n{shared}train_first: {teacher}  # a comment\n"
        'pseudo_conf:\n  teacher: "{first}"\nloss_conf: {pseudo_targets: [pesq]}\n'
    )
    recipe(tmp_path, "--conf", str(student), "--stage", "3", "--stop_stage", "4")
    assert len(list(tmp_path.glob("*_teacher/model/model.safetensors"))) == 1
    true, given = (DataDirectory.read(tmp_path / name / "train").targets for name in ("data", "data_pseudo"))
    assert given["mos"] == true["mos"]
    assert given["pesq"] != true["pesq"]
    assert (tmp_path / "exp" / "model" / "model.safetensors").is_file()
    assert not (tmp_path / "data_pseudo" / "test").exists()


def test_an_sfi_upstream_is_made_before_training_and_released_with_the_model(tmp_path: Path):
    for seed, part in enumerate(("train", "dev")):
        write_corpus(tmp_path / "data" / part, seed=seed)
    options = ["--conf", "conf/sfi_ssl_mos_tiny.yaml", "--stage", "2", "--stop_stage", "4"]
    settings = "max_epoch=1 sfi_conf.fit_steps=0 distil_conf.steps=1 distil_conf.batch_size=1"
    printed = recipe(tmp_path, *options, "--train_args", settings)
    assert "hidden states at 48000 Hz: off the teacher's by" in printed
    config = yaml.safe_load((tmp_path / "exp" / "model" / "config.yaml").read_text())
    assert config["upstream"] == str(tmp_path / "exp" / "sfi" / "distilled")
    assert config["release"]["architecture"]["sfi"]["filter"] == "neural"
