"""Several models at once: what each says, the mean and the spread."""

import shutil
import statistics
from dataclasses import replace

import pytest
import soundfile
import torch
from typer.testing import CliRunner

import distilmos_plugin as dm
from distilmos_plugin import cli
from distilmos_plugin.errors import ConfigError, DataError, ModelError
from distilmos_plugin.scoring.ensemble import Ensemble, Stack
from distilmos_plugin.scoring.ensemble_release import write_ensemble
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.scoring.run import score_paths

from .material import make_model, speech, with_windows, write


@pytest.fixture(scope="module")
def other_release(config, tmp_path_factory):
    """The model with another last layer, and other windows."""
    model = make_model(config)
    with torch.no_grad():
        model.linear.weight.mul_(-1)
    directory = tmp_path_factory.mktemp("exp") / "other" / "model"
    write_release(directory, model, with_windows(config, 20.0, 10.0))
    return directory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    for i in range(4):
        write(folder / f"{i}.wav", speech(0.5 + 0.4 * i, rate=16000 if i else 8000, seed=i))
    return folder


@pytest.fixture(scope="module")
def scores(release, other_release, folder, tmp_path_factory):
    """Of the first model, of the second, of both."""
    found = []
    for number, model in enumerate((release, other_release, [release, other_release])):
        output = tmp_path_factory.mktemp("out") / f"{number}.jsonl"
        score_paths([folder], model=model, output=output, device="cpu")
        found.append(read_scores(output))
    return found


def test_each_model_says_what_it_says_alone(scores):
    for first, second, both in zip(*scores, strict=True):
        assert both.targets["mos@small_distilmos"] == first.mos
        assert both.targets["mos@other"] == second.mos
        assert both.flags == first.flags


def test_mean_and_spread_are_those_of_the_models(scores):
    for first, second, both in zip(*scores, strict=True):
        values = (first.mos, second.mos)
        # All three are rounded to six decimals in the file.
        assert both.mos == pytest.approx(statistics.fmean(values), abs=1e-6)
        assert both.targets["mos_sd"] == pytest.approx(statistics.stdev(values), abs=2e-6)
        assert both.targets["mos_sd"] > 0


def test_the_signature_names_both_models_and_each_setting_that_differs(scores):
    first, second, both = (part[0].signature.split("|") for part in scores)
    assert both[1] == f"{first[1]}+{second[1].removeprefix('model:')}"
    assert "window:30s/15s+20s/10s" in both
    assert both[0] == "distilmos"
    assert both[-1] == "prec:fp32"


def test_a_clip_that_one_model_cannot_score_has_no_score(predictor, model, config):
    strict = Predictor(model, config, "strict")
    strict.min_samples = 16000
    clips = [(speech(0.5), 16000), (speech(1.5), 16000)]
    short, long = Ensemble([predictor, strict]).score_many(clips)
    assert (short.status, short.targets) == ("too_short", {})
    assert "1000 ms" in short.reason
    assert long.ok


def test_a_target_that_one_model_predicts_has_no_spread(predictor, config):
    quality = Predictor(make_model(replace(config, targets=("mos", "quality"))), config, "quality")
    both = Ensemble([predictor, quality])
    assert both.columns == ("mos", "mos_sd", "mos@small", "mos@quality", "quality", "quality@quality")
    (score,) = both.score_many([(speech(1.0), 16000)])
    assert tuple(score.targets) == both.columns
    assert score.targets["quality"] == score.targets["quality@quality"]


def test_models_of_one_name_are_told_apart_by_their_digests(model, config):
    both = Ensemble([Predictor(model, config, "small", digest) for digest in ("aaa", "bbb")])
    assert both.columns[2:] == ("mos@small@aaa", "mos@small@bbb")


def test_a_model_named_twice_is_refused(release, folder):
    with pytest.raises(ConfigError, match=r"small_distilmos@[0-9a-f]{12} comes twice"):
        score_paths([folder], model=[release, release], device="cpu")


def test_scores_over_time_are_of_one_model(release, other_release, folder, tmp_path):
    with pytest.raises(DataError, match="of one model"):
        score_paths([folder], model=[release, other_release], frames=True, output=tmp_path / "a.jsonl", device="cpu")


def test_the_command_shows_all_columns(release, other_release, folder, capsys):
    arguments = ["score", str(folder), "--device", "cpu", "--model", str(release), "--model", str(other_release)]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0
    header, *rows = done.stdout.splitlines()
    assert header.split()[:4] == ["mos", "mos_sd", "mos@small_distilmos", "mos@other"]
    # Columns are right-aligned, and wide enough for their names.
    assert all(row[header.index("mos@other") + len("mos@other") - 1].isdigit() for row in rows)


def test_the_command_prints_signatures_and_ends(release, other_release, scores):
    one = CliRunner().invoke(cli.app, ["score", "--signature", "--device", "cpu", "--model", str(release)])
    assert (one.exit_code, one.stdout.splitlines()) == (0, [scores[0][0].signature])
    arguments = ["score", "--signature", "--device", "cpu", "--model", str(release), "--model", str(other_release)]
    both = CliRunner().invoke(cli.app, arguments)
    assert both.stdout.splitlines() == [part[0].signature for part in scores]


@pytest.fixture(scope="module")
def folder_of_two(release, other_release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exp") / "pair" / "model"
    members = [load(release, "cpu"), load(other_release, "cpu")]
    stacks = {"mos": Stack((0.25, 0.5), 1.0)}
    write_ensemble(folder, members, [release, other_release], about="Two.", stacks=stacks)
    return folder


class TestReleasedAsOneModel:
    """An ensemble in a folder of its own."""

    def test_it_scores_as_its_stack_says_and_names_itself(self, folder_of_two, folder, scores, tmp_path):
        score_paths([folder], model=folder_of_two, output=tmp_path / "a.jsonl", device="cpu")
        for first, second, one in zip(*scores[:2], read_scores(tmp_path / "a.jsonl"), strict=True):
            # All are rounded to six decimals in the files.
            assert one.mos == pytest.approx(1.0 + 0.25 * first.mos + 0.5 * second.mos, abs=2e-6)
            assert tuple(one.targets) == ("mos", "mos_sd")
            assert one.signature.split("|")[1] == f"model:pair@{load(folder_of_two).digest}"

    def test_one_clip_by_path_bytes_file_and_array_scores_alike(self, folder_of_two, folder):
        path = folder / "1.wav"
        model = dm.load(folder_of_two, device="cpu")
        samples, rate = soundfile.read(path, dtype="float32")
        with open(path, "rb") as file:
            sources = [model.score(path), model.score(path.read_bytes()), model.score(file), model.score(samples, rate)]
        assert len({score.mos for score in sources}) == 1

    def test_its_models_are_moved_and_shared_as_one(self, folder_of_two):
        one, other = load(folder_of_two, "cpu"), load(folder_of_two, "cpu")
        assert (one.device.type, one.precision) == ("cpu", "fp32")
        with torch.no_grad():
            for value in one.model.parameters():
                value.zero_()
        assert one.score(speech(1.0), 16000).mos != other.score(speech(1.0), 16000).mos
        tensors = one.model.state_dict(keep_vars=True)
        for key, tensor in other.model.state_dict(keep_vars=True).items():
            tensor.data = tensors[key].data
        assert one.score(speech(1.0), 16000).mos == other.score(speech(1.0), 16000).mos

    def test_an_ensemble_can_be_a_member(self, folder_of_two, release, tmp_path):
        nested = tmp_path / "nested"
        write_ensemble(nested, [load(folder_of_two, "cpu"), load(release, "cpu")], [folder_of_two, release])
        model = load(nested, "cpu")
        (score,) = model.score_many([(speech(1.0), 16000)])
        parts = [load(name, "cpu").score(speech(1.0), 16000).mos for name in (folder_of_two, release)]
        assert score.mos == pytest.approx(statistics.fmean(parts), abs=1e-6)

    def test_other_weights_have_another_digest(self, folder_of_two, release, other_release, tmp_path):
        members = [load(release, "cpu"), load(other_release, "cpu")]
        plain = write_ensemble(tmp_path / "pair" / "model", members, [release, other_release])
        assert (plain.name, plain.digest != load(folder_of_two, "cpu").digest) == ("pair", True)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("intercept: 1.0", "slope: 1.0", "unknown key 'slope'"),
            ("- 0.25\n", "", "1 weights for 2 members"),
            ("1_small_distilmos: ", "1_small_distilmos: 00", "the members are not those"),
            ("ensemble:", "assembly:", "no section 'ensemble'"),
        ],
    )
    def test_a_damaged_description_is_refused_in_words(self, folder_of_two, tmp_path, old, new, message):
        copy = tmp_path / "model"
        shutil.copytree(folder_of_two, copy)
        text = (copy / "config.yaml").read_text()
        assert old in text
        lines = [line.replace(old.strip(), new) for line in text.splitlines() if new or old.strip() not in line]
        (copy / "config.yaml").write_text("\n".join(lines))
        with pytest.raises(ModelError, match=message):
            load(copy, "cpu")
