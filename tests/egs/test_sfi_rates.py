"""The script that compares sample rates."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
import soundfile

from distilmos_plugin.config import Config, SFIConfig
from distilmos_plugin.corpora.simulation import espeak
from distilmos_plugin.data.directory import write_data_directory
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.upstreams.sfi import folder
from distilmos_plugin.upstreams.sfi.conversion import convert
from distilmos_plugin.upstreams.upstream import load_upstream

SCRIPT = Path(__file__).parents[2] / "egs" / "mini" / "local" / "sfi_rates.py"


def test_the_tables_tell_the_rates_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    speech = espeak.synthesize("One sentence at several rates.", "en-us")
    soundfile.write(tmp_path / "a.wav", speech.samples, speech.sample_rate)
    write_data_directory(tmp_path / "test", wav={"a": str(tmp_path / "a.wav")}, targets={"mos": {"a": 3.0}})
    upstream = convert("tiny", None, SFIConfig(fit_steps=0))
    for name in ("converted", "distilled"):
        folder.write(tmp_path / "sfi" / name, *upstream)
    config = Config(system="sfi_ssl_mos", sfi_conf=SFIConfig())
    model = build_model(config, load_upstream(str(tmp_path / "sfi" / "converted")))
    write_release(tmp_path / "model", model, config)
    arguments = ["--data", tmp_path / "test", "--sfi", tmp_path / "sfi", "--model", tmp_path / "model", "--clips", "1"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    rows = {cells[0]: list(map(float, cells[1:])) for cells in _rows(printed)}
    states = rows["converted, against the first upstream"]  # at 8, 16, 22.05, 24, 44.1, 48 kHz
    assert states[1] < 0.01  # 16 kHz: what the closed form leaves
    assert max(states[2:]) < 0.1 < states[0]  # the others hold the band; 8 kHz does not
    assert max(rows["at its rate"][1:]) < max(rows["taken for 16 kHz"][2:])
    assert re.search(r"range over 16, 24, 48 kHz: mean 0\.0\d+", printed)


def _rows(table: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    return [cells for cells in rows if re.fullmatch(r"[\d.]+", cells[1])]
