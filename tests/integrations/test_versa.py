"""The metric in VERSA: against VERSA itself where it is installed, else against a stand-in with the same contract."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml

import distilmos_plugin as dm
from distilmos_plugin.audio import read_audio
from distilmos_plugin.errors import ConfigError, DataError, MissingExtra
from distilmos_plugin.integrations import versa as integration
from distilmos_plugin.integrations import versa_hook
from distilmos_plugin.integrations.versa_prescoring import Prescorer, load_streams
from tests.integrations.versa_contract import METADATA_FIELDS, Metric, Registry, Scorer
from tests.scoring.material import speech

STAND_IN = Path(__file__).parent / "stand_in"
CONFIGS = sorted((Path(__file__).parents[2] / "egs" / "versa").glob("*.yaml"))
ALONE = 1e-5  # between a clip scored in a batch and alone: what the scoring path promises in fp32


def real_versa() -> bool:
    try:
        integration.generation()
    except MissingExtra:
        return False
    return True


REAL = real_versa()
needs_versa = pytest.mark.skipif(not REAL, reason="VERSA is not installed: put a checkout of it on PYTHONPATH")


@pytest.fixture(scope="module")
def versa():
    """VERSA's scorer_shared, patched as by distilmos-versa."""
    if not REAL:
        sys.path.insert(0, str(STAND_IN))
    versa_hook.install()
    try:
        yield importlib.import_module("versa.scorer_shared")
    finally:
        versa_hook.uninstall()
        if not REAL:
            sys.path.remove(str(STAND_IN))
            for name in [name for name in sys.modules if name.partition(".")[0] == "versa" or name.endswith(".versa_metric")]:
                del sys.modules[name]


@pytest.fixture(scope="module")
def metric(versa):
    return make(versa)


def make(versa, **config):
    """The metric as VERSA makes it."""
    suite = versa.VersaScorer().load_metrics([{"name": "distilmos"} | config], use_gt=False)
    return suite.metrics["distilmos"]


def build(versa, **config):
    """The metric from its class: VERSA's load_metrics logs what goes wrong and goes on."""
    return integration.DistilMOSMetric({"name": "distilmos"} | config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twelve clips of three systems, 0.5 to 6 s at three rates, 16 bits."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(12):
        rate = (8000, 16000, 24000)[index % 3]
        samples = speech(0.5 + 0.5 * index, rate, seed=index)
        soundfile.write(folder / f"sys{index % 3}-clip{index:02d}.wav", samples, rate, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def files(folder) -> dict[str, str]:
    return {path.stem: str(path) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def direct(files) -> dict[str, float]:
    """What `distilmos score` gives."""
    return {score.key: score.mos for score in dm.load("mini", "cpu").score_many(files)}


def by_key(rows) -> dict[str, dict]:
    return {row["key"]: row for row in rows}


def agrees(rows, direct: dict[str, float]) -> bool:
    return {key: row["distilmos"] for key, row in by_key(rows).items()} == pytest.approx(direct, abs=ALONE)


# The contract.


@pytest.mark.parametrize(
    ("protocol", "module", "name"),
    [
        (Metric, "versa.definition", "BaseMetric"),
        (Registry, "versa.definition", "MetricRegistry"),
        (Scorer, "versa.scorer_shared", "VersaScorer"),
    ],
)
def test_the_protocols_are_what_versa_has(versa, protocol, module, name):
    found = getattr(importlib.import_module(module), name)
    for method, expected in inspect.getmembers(protocol, inspect.isfunction):
        if expected.__module__ != protocol.__module__ or (method.startswith("_") and method != "__init__"):
            continue
        wanted = list(inspect.signature(expected).parameters)
        there = list(inspect.signature(getattr(found, method)).parameters)
        assert there[: len(wanted)] == wanted, method  # later versions add parameters behind


def test_the_metric_is_one_of_versas_and_fits_the_protocol(versa, metric):
    assert isinstance(metric, importlib.import_module("versa.definition").BaseMetric)
    assert isinstance(metric, Metric)
    fields = importlib.import_module("versa.definition").MetricMetadata.__dataclass_fields__
    assert set(METADATA_FIELDS) <= set(fields)


def test_a_registry_gets_the_metric_once(versa):
    registry = importlib.import_module("versa.definition").MetricRegistry()
    assert isinstance(registry, Registry)
    integration.register(registry)
    first = registry.get_metadata("distilmos")
    integration.register(registry)
    assert registry.get_metadata("distilmos") is first
    assert registry.get_metric("DistilMOS") is integration.DistilMOSMetric
    assert not first.requires_reference
    assert not first.requires_text
    assert first.gpu_compatible


def test_every_registry_that_versa_makes_has_it(versa):
    assert versa.VersaScorer().registry.get_metric("distilmos") is integration.DistilMOSMetric


def test_versa_can_read_the_allowed_keys_off_the_source(versa):
    """VERSA allows what it finds as a literal self.config.get("key") in the source of the class."""
    module = importlib.import_module("distilmos_plugin.integrations.versa_metric")
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(module.DistilMOSMetric)))
        if isinstance(node, ast.Call) and node.args
    ]
    found = {call.args[0].value for call in calls if ast.unparse(call.func) == "self.config.get"}
    assert found | {"name"} == {*module.KEYS, *module.FROM_VERSA}


def test_no_key_is_one_that_versa_adds_up(versa):
    """Its summaries average a key, but add up one that contains _wer, _cer or _per."""
    module = importlib.import_module("distilmos_plugin.integrations.versa_metric")
    keys = {target: module.output_key(target) for target in ("mos", "sig", "mos_std", "perplexity", "asr_wer")}
    assert keys["mos"] == "distilmos"
    assert keys["sig"] == "distilmos_sig"
    assert keys["mos_std"] == "distilmos_std"
    assert not any(part in key for key in keys.values() for part in ("_wer", "_cer", "_per"))


def test_without_versa_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install .*wavlab-speech/versa"):
        integration.register(object())


# One utterance.


def test_an_utterance_scores_as_everywhere_and_in_plain_floats(metric, files, direct):
    for key in list(files)[:3]:
        rate, samples = integration.reader(files, "soundfile")(key)
        row = metric.compute(samples, metadata={"key": key, "sample_rate": rate})
        assert type(row["distilmos"]) is float
        assert row["distilmos"] == pytest.approx(direct[key], abs=ALONE)
        assert row["distilmos_status"] == "ok"
        assert row["distilmos_signature"] == metric.predictor.signature
        json.dumps(row)


@pytest.mark.parametrize(
    ("samples", "status"),
    [(np.ones(100), "too_short"), (np.array([]), "empty"), (np.full(16000, np.nan), "non_finite")],
)
def test_audio_without_a_score_gives_null_and_the_reason(metric, samples, status):
    row = metric.compute(samples, metadata={"key": "a", "sample_rate": 16000})
    assert row["distilmos"] is None
    assert row["distilmos_status"] == status
    assert row["distilmos_reason"]


def test_sixteen_bits_score_the_same_through_versas_kaldi_reader(metric):
    """It divides by 32767, libsndfile by 32768; the third decimal of a score moves with that."""
    whole = (speech(1.0) * 32768).astype(np.int16).astype(np.float64)
    scores = [metric.compute(whole / scale, metadata={"sample_rate": 16000})["distilmos"] for scale in (32767, 32768)]
    assert scores[0] == scores[1]


def test_a_missing_sample_rate_is_not_guessed(metric):
    with pytest.raises(DataError, match="sample rate"):
        metric.compute(np.zeros(16000))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"modle": "mini"}, "unknown key 'modle', did you mean 'model'"),
        ({"targets": ["mso"]}, "does not predict 'mso', did you mean 'mos'"),
        ({"frames": "yes"}, "frames: expected true or false"),
        ({"precision": "fp16"}, "precision: 'fp16'"),
        ({"system_from": "("}, "not a regular expression"),
        ({"system_output": "a.json"}, "needs system_from"),
        ({"batch_seconds": 0}, "batch_seconds: expected a number above 0"),
    ],
)
def test_a_wrong_configuration_is_refused_with_a_hint(versa, config, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        build(versa, **config)


# The loop over utterances.


def test_the_loop_gives_the_scores_of_distilmos_score(versa, files, direct):
    for prescore in (True, False):
        scorer = versa.VersaScorer()
        suite = scorer.load_metrics([{"name": "distilmos", "prescore": prescore}], use_gt=False)
        rows = scorer.score_utterances(files, suite, io="soundfile")
        assert list(by_key(rows)) == list(files)
        assert agrees(rows, direct)


def test_kaldi_archives_and_folders_score_the_same(versa, folder, files, direct, tmp_path):
    with kaldiio.WriteHelper(f"ark,scp:{tmp_path}/wav.ark,{tmp_path}/wav.scp") as writer:
        for key, path in files.items():
            samples, rate = soundfile.read(path, dtype="int16")
            writer(key, (rate, samples))
    scorer = versa.VersaScorer()
    suite = scorer.load_metrics([{"name": "distilmos"}], use_gt=False)
    listed = versa.audio_loader_setup(str(tmp_path / "wav.scp"), "kaldi")
    assert agrees(scorer.score_utterances(listed, suite, io="kaldi"), direct)
    found = versa.audio_loader_setup(str(folder), "dir")
    rows = scorer.score_utterances(found, suite, io="dir")
    assert agrees([row | {"key": Path(row["key"]).stem} for row in rows], direct)


def test_every_clip_of_the_list_has_a_row(versa, files, tmp_path):
    soundfile.write(tmp_path / "constant.wav", np.full(16000, 0.25), 16000)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "short.wav", speech(0.01), 16000)
    (tmp_path / "text.wav").write_text("not audio")
    bad = {name: str(tmp_path / f"{name}.wav") for name in ("constant", "empty", "short", "text", "missing")}
    key, path = next(iter(files.items()))
    scorer, output = versa.VersaScorer(), tmp_path / "scores.jsonl"
    suite = scorer.load_metrics([{"name": "distilmos"}], use_gt=False)
    rows = by_key(scorer.score_utterances(bad | {key: path}, suite, io="soundfile", output_file=str(output)))
    statuses = {name: row["distilmos_status"] for name, row in rows.items()}
    expected = {"constant": "ok", "empty": "empty", "short": "too_short", "text": "unreadable", "missing": "unreadable"}
    assert statuses == expected | {key: "ok"}
    assert all((row["distilmos"] is None) == (row["distilmos_status"] != "ok") for row in rows.values())
    assert "silent" in rows["constant"]["distilmos_flags"]
    assert by_key(map(json.loads, output.read_text().splitlines())) == rows


def test_a_pass_of_another_metric_goes_over_unreadable_audio_too(versa, files, tmp_path):
    """--scoring_mode metric: one loop over the utterances for each metric."""

    class Length(importlib.import_module("versa.definition").BaseMetric):
        def _setup(self): ...

        def compute(self, predictions, references=None, metadata=None):
            return {"length": len(predictions)}

        def get_metadata(self):
            return replace(versa.VersaScorer().registry.get_metadata("distilmos"), name="length")

    scorer = versa.VersaScorer()
    scorer.registry.register(Length, Length({}).get_metadata())
    key, path = next(iter(files.items()))
    for io, listed in (
        ("soundfile", {"missing": str(tmp_path / "missing.wav"), key: path}),
        ("kaldi", kaldiio.load_scp(scp(tmp_path, {"missing": str(tmp_path / "missing.wav"), key: path}))),
    ):
        rows = by_key(
            scorer.score_utterances_by_metric(listed, [{"name": "length"}, {"name": "distilmos"}, {"name": "length"}], io=io)
        )
        assert rows["missing"]["distilmos_status"] == "unreadable"
        assert "length" not in rows["missing"]
        assert rows[key]["length"] == len(soundfile.read(path)[0])
        assert rows[key]["distilmos_status"] == "ok"


def scp(folder: Path, files: dict[str, str]) -> str:
    path = folder / "wav.scp"
    path.write_text("".join(f"{key} {source}\n" for key, source in files.items()))
    return str(path)


def test_resume_scores_what_is_missing_and_nothing_else(versa, files, tmp_path):
    output = tmp_path / "scores.jsonl"
    scorer = versa.VersaScorer()
    suite = scorer.load_metrics([{"name": "distilmos"}], use_gt=False)
    whole = scorer.score_utterances(files, suite, io="soundfile", output_file=str(output))
    lines = output.read_text().splitlines()
    kept = [json.dumps(json.loads(line) | {"distilmos": 9.0}) for line in lines[::2]]
    output.write_text("\n".join(kept) + "\n")
    scorer.score_utterances(files, suite, io="soundfile", output_file=str(output), resume=True)
    rows = by_key(map(json.loads, output.read_text().splitlines()))
    assert set(rows) == set(files)
    assert [row["distilmos"] for row in rows.values()].count(9.0) == len(kept)
    for row in whole[1::2]:
        assert rows[row["key"]]["distilmos"] == pytest.approx(row["distilmos"], abs=ALONE)


def test_systems_are_told_from_keys_and_summarised(versa, files, direct, tmp_path):
    scorer, output = versa.VersaScorer(), tmp_path / "systems.json"
    config = {"name": "distilmos", "system_from": "^([^-]+)-", "system_output": str(output)}
    rows = scorer.score_utterances(files, scorer.load_metrics([config], use_gt=False), io="soundfile")
    assert {row["distilmos_system"] for row in rows} == {"sys0", "sys1", "sys2"}
    systems = json.loads(output.read_text())["systems"]
    mean = np.mean([value for key, value in direct.items() if key.startswith("sys1")])
    assert systems["sys1"]["mos"]["mean"] == pytest.approx(mean, abs=ALONE)
    assert systems["sys1"]["mos"]["n"] == 4


def test_frame_scores_come_with_their_step(versa, files):
    key, path = next(iter(files.items()))
    metric = make(versa, frames=True)
    samples = read_audio(path)
    row = metric.compute(samples.samples.astype(np.float64), metadata={"key": key, "sample_rate": samples.sample_rate})
    expected = metric.predictor.score(path, frames=True).frames
    if expected is None:
        assert "distilmos_frames" not in row
    else:
        assert row["distilmos_frames"]["hop"] == expected.hop
        assert len(row["distilmos_frames"]["mos"]) == len(expected.targets["mos"])


# Scoring ahead.


def scores_ahead(predictor, files, **options) -> tuple[Prescorer, list[str]]:
    """A prescorer of two streams, and the keys that it has read so far."""
    opened: list[str] = []
    read = integration.reader(files, "soundfile")

    def watched(key: str):
        opened.append(key)
        return read(key)

    return Prescorer(load_streams("mini", predictor, 2), files, watched, **options), opened


def test_an_answer_is_only_for_the_samples_that_were_scored(metric, files):
    ahead, _ = scores_ahead(metric.predictor, files)
    read = integration.reader(files, "soundfile")
    first, second, *_ = files
    rate, samples = read(first)
    assert ahead.ask(first, samples[:-1], rate) is None  # VERSA has cut or resampled it, as with --gt
    rate, samples = read(second)
    assert ahead.ask(second, samples, rate).mos == pytest.approx(metric.predictor.score(files[second]).mos, abs=ALONE)
    assert ahead.ask("another", samples, rate) is None


def test_what_is_not_asked_for_is_not_scored(metric, files):
    keys = list(files)
    ahead, opened = scores_ahead(metric.predictor, files, done={keys[6], keys[8]})
    rate, samples = integration.reader(files, "soundfile")(keys[5])
    assert ahead.ask(keys[5], samples, rate).ok
    assert opened == [keys[5], keys[7], *keys[9:]]


def test_threads_and_arithmetic_are_left_as_they_were(metric, files):
    import torch

    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    ahead, _ = scores_ahead(metric.predictor, files)
    key = next(iter(files))
    rate, samples = integration.reader(files, "soundfile")(key)
    ahead.ask(key, samples, rate)
    assert before == (torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)


# VERSA's command, and the ready configurations.


def command(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Run distilmos-versa in this process; return its exit status and what it printed."""
    monkeypatch.setattr(sys, "argv", ["distilmos-versa", *map(str, arguments)])
    try:
        integration.main()
    except SystemExit as ended:
        code = ended.code or 0
    else:
        code = 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@needs_versa
@pytest.mark.parametrize("mode", ["utterance", "metric"])
def test_the_command_is_versas_scorer_with_the_metric(versa, files, direct, tmp_path, monkeypatch, capsys, mode):
    scp, config, output = tmp_path / "wav.scp", tmp_path / "score.yaml", tmp_path / "scores.jsonl"
    scp.write_text("".join(f"{key} {path}\n" for key, path in files.items()))
    config.write_text("- name: distilmos\n  model: mini\n  system_from: '^([^-]+)-'\n")
    options = ["--score_config", config, "--pred", scp, "--output_file", output, "--scoring_mode", mode]
    assert command(monkeypatch, capsys, *options)[0] == 0
    assert agrees(map(json.loads, output.read_text().splitlines()), direct)
    assert command(monkeypatch, capsys, *options, "--resume")[0] == 0
    assert len(output.read_text().splitlines()) == len(files)


@needs_versa
def test_the_command_describes_and_validates(versa, files, tmp_path, monkeypatch, capsys):
    if importlib.util.find_spec("versa.config_validation") is None:
        pytest.skip("this VERSA neither describes metrics nor validates configurations")
    code, out, _ = command(monkeypatch, capsys, "--describe-metric", "distilmos")
    assert code == 0
    assert "requires_reference: false" in out
    scp, config = tmp_path / "wav.scp", tmp_path / "score.yaml"
    scp.write_text("".join(f"{key} {path}\n" for key, path in files.items()))
    config.write_text("- name: distilmos\n  modle: mini\n")
    code, _, err = command(monkeypatch, capsys, "--score_config", config, "--pred", scp)
    assert code == 2
    assert "modle" in err


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_ready_configuration_has_known_keys(versa, path):
    module = importlib.import_module("distilmos_plugin.integrations.versa_metric")
    items = yaml.safe_load(path.read_text(encoding="utf-8"))
    ours = [item for item in items if item["name"] == "distilmos"]
    assert len(ours) == 1
    assert set(ours[0]) <= {"name", *module.KEYS}


def test_there_are_ready_configurations():
    assert {path.name for path in CONFIGS} == {"tts.yaml", "enhancement.yaml", "beside_utmos_dnsmos.yaml"}
