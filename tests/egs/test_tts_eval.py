"""egs/tts_eval: from what recipes leave behind to a ranking, in one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilmos_plugin.config import Config
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.gather import gather
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.scoring.run import score_paths
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.upstream import load_upstream
from tests.training.material import write_corpus, write_upstream

SCRIPT = Path(__file__).parents[2] / "egs" / "tts_eval" / "run.sh"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    ckpt = write_upstream(tmp_path / "upstream.pt")
    values = {"system": "ssl_mos", "upstream": "wavlm_local", "upstream_conf": {"ckpt": str(ckpt)}}
    config = parse(Config, values, "test")
    directory = tmp_path / "model"
    write_release(directory, build_model(config, load_upstream(config.upstream, config.upstream_conf)), config)
    return directory


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_systems_side_by_side_become_a_ranking_and_a_new_one_costs_only_its_own_clips(model: Path, tmp_path: Path):
    recipe = tmp_path / "tts1"
    spoken = write_corpus(tmp_path / "spoken", clips=4)
    for name, gain in (("vits", 1.0), ("tacotron2", 0.5)):
        folder = recipe / "exp" / name / "decode" / "eval1" / "wav"
        folder.mkdir(parents=True)
        for key, path in spoken.wav.items():
            soundfile.write(folder / f"{key}.wav", gain * soundfile.read(path)[0], 16000)
        lines = [f"{key} {folder.relative_to(recipe)}/{key}.wav\n" for key in spoken.keys]
        (folder / "wav.scp").write_text("".join(lines))
    out = tmp_path / "out"
    gather([recipe / "exp"], out / "data")
    score_paths([out / "data"], model=model, output=out / "scores.jsonl")  # an earlier run, before there was natural speech

    natural = f"natural={spoken.path}"
    done = run("--model", model, "--set", "eval1", "--outdir", "out", recipe / "exp", natural, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 of 12 clips scored; 8 of them were done before" in done.stderr
    assert (out / "report.html").is_file()
    ranking = json.loads((out / "ranking.json").read_text())
    assert (ranking["n_sentences"], len(ranking["pairs"])) == (4, 3)
    means = {row["system"]: row["prediction"] for row in ranking["systems"]}
    assert means.keys() == {"natural", "vits", "tacotron2"}
    assert np.isclose(means["natural"], means["vits"], atol=1e-3)  # the same clips, written with 16 bits


def test_the_call_without_systems_says_what_it_takes(tmp_path: Path):
    done = run("--set", "eval1", folder=tmp_path)
    assert done.returncode == 2
    assert "natural=" in done.stderr
    assert "unknown option --sets" in run("--sets", "eval1", folder=tmp_path).stderr
