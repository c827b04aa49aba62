"""Systems ranked by predicted score alone, from what synthesis recipes leave behind."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.ranking import holm, paired_p, rank, rank_systems, ranking_markdown, ranking_table
from distilmos_plugin.scoring.gather import gather
from distilmos_plugin.scoring.results import Score

from .conftest import SIGNATURE, write_scores

SENTENCES = 30


def tree(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """What two TTS models and an enhancement model of ESPnet leave behind; paths are relative to the recipe's folder."""
    recipe = tmp_path / "tts1"
    for model in ("vits", "fastspeech2"):
        for part in ("dev", "eval1"):
            wav = f"exp/tts_{model}/decode_train.loss.ave/{part}/wav"
            for name in ("LJ01", "LJ02"):
                (recipe / wav).mkdir(parents=True, exist_ok=True)
                soundfile.write(recipe / wav / f"{name}.wav", np.full(800, 0.1), 16000)
            tree(recipe, f"{wav}/wav.scp", f"LJ01 {wav}/LJ01.wav\nLJ02 {wav}/LJ02.wav\n")
    return recipe


def sentences_of(directory: DataDirectory) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in (directory.path / "utt2sentence").read_text().splitlines())


def test_the_systems_of_a_recipe_are_named_by_what_tells_them_apart(recipe, tmp_path):
    data = gather([recipe / "exp"], tmp_path / "data", parts=["eval1"])
    assert set(data.systems.values()) == {"tts_vits", "tts_fastspeech2"}
    assert sentences_of(data)["tts_vits/LJ01"] == "LJ01"
    assert data.targets == {}


def test_relative_paths_start_at_the_recipe_wherever_we_are(recipe, tmp_path, monkeypatch):
    elsewhere = gather([recipe / "exp"], tmp_path / "data", parts=["eval1"])
    assert all(Path(path).is_file() for path in elsewhere.wav.values())
    monkeypatch.chdir(recipe)
    here = gather(["exp"], tmp_path / "other", parts=["eval1"])
    assert here.wav["tts_vits/LJ01"] == "exp/tts_vits/decode_train.loss.ave/eval1/wav/LJ01.wav"


def test_with_several_sets_a_sentence_carries_its_set(recipe, tmp_path):
    natural = tree(recipe, "dump/raw/eval1/wav.scp", "LJ01 /a.wav\nLJ02 /b.wav\n")
    data = gather([recipe / "exp", f"natural={natural}"], tmp_path / "data")
    assert sentences_of(data)["tts_vits/dev/LJ01"] == "dev/LJ01"
    assert sentences_of(data)["natural/eval1/LJ02"] == "eval1/LJ02"


def test_named_systems_may_be_data_directories_or_folders_of_sound_files(recipe, tmp_path):
    folder = tmp_path / "other toolkit"
    folder.mkdir()
    for name in ("LJ01.flac", "LJ02.flac"):
        soundfile.write(folder / name, np.zeros(800), 16000)
    natural = tree(recipe, "dump/raw/eval1/wav.scp", "LJ01 /natural/LJ01.wav\nLJ02 /natural/LJ02.wav\n").parent
    data = gather([f"mine={folder}", f"natural={natural}"], tmp_path / "data")
    assert data.keys == ("mine/LJ01", "mine/LJ02", "natural/LJ01", "natural/LJ02")
    assert data.wav["mine/LJ01"] == str(folder / "LJ01.flac")


def test_enhancement_recipes_keep_their_list_elsewhere_and_a_second_speaker_is_another_sentence(tmp_path):
    for model in ("convtasnet", "tfgridnet"):
        for speaker in (1, 2):
            tree(tmp_path, f"exp/{model}/enhanced_test/spk{speaker}.scp", f"mix1 /{model}/{speaker}.wav\n")
        tree(tmp_path, f"exp/{model}/enhanced_test/logdir/output.1/spk1.scp", "mix1 /not/this.wav\n")
    data = gather([tmp_path / "exp"], tmp_path / "data", parts=["test"])
    assert data.keys == ("convtasnet/mix1", "convtasnet/mix1/spk2", "tfgridnet/mix1", "tfgridnet/mix1/spk2")
    assert sentences_of(data)["tfgridnet/mix1/spk2"] == "mix1/spk2"


def test_what_cannot_be_gathered_is_named(recipe, tmp_path):
    with pytest.raises(DataError, match=r"no system has the test set eval9; found: dev, eval1"):
        gather([recipe / "exp"], tmp_path / "data", parts=["eval9"])
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        gather([tmp_path / "nowhere"], tmp_path / "data")
    with pytest.raises(DataError, match=r"no \*/wav/wav.scp"):
        gather([tree(tmp_path, "empty/a.txt", "").parent], tmp_path / "data")
    folder = recipe / "exp/tts_vits/decode_train.loss.ave/eval1/wav"
    with pytest.raises(DataError, match="'a/LJ01' comes twice"):
        gather([f"a={folder}", f"a={folder}"], tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.fixture
def synthesised(tmp_path):
    """Three systems that read the same sentences: ``best`` is 0.1 above ``good``, far less than sentences differ."""
    rng = np.random.default_rng(0)
    hardness = rng.normal(3.5, 0.6, SENTENCES)
    wav, systems, scores = {}, {}, []
    for system, quality in (("best", 0.1), ("good", 0.0), ("poor", -0.8)):
        for number in range(SENTENCES):
            key = f"{system}/s{number:02d}"
            wav[key], systems[key] = f"/nowhere/{key}.wav", system
            value = hardness[number] + quality + rng.normal(0, 0.1)
            scores.append(Score(key, wav[key], {"mos": float(value)}, "ok", (), 1.0, 16000, SIGNATURE))
    return write_data_directory(tmp_path / "data", wav, systems=systems), scores


def test_pairing_by_sentence_tells_systems_apart_whose_intervals_overlap(synthesised):
    data, scores = synthesised
    ranking = rank_systems(scores, data)
    assert [row["system"] for row in ranking["systems"]] == ["best", "good", "poor"]
    assert [row["place"] for row in ranking["systems"]] == [[1, 1], [2, 2], [3, 3]]
    best, good, _ = ranking["systems"]
    assert best["prediction_ci"][0] < good["prediction"]  # alone, the two means could be equal
    pair = ranking["pairs"][0]
    assert (pair["a"], pair["b"], pair["n"], pair["significant"]) == ("best", "good", SENTENCES, True)
    assert pair["difference"] == pytest.approx(best["prediction"] - good["prediction"])
    assert pair["ci"][0] < 0.1 < pair["ci"][1]


def test_p_and_interval_of_a_pair_are_those_of_the_paired_t_test():
    from scipy import stats

    rng = np.random.default_rng(1)
    a, b = rng.normal(3, 1, 20), rng.normal(3.2, 1, 20)
    assert paired_p(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_equal_audio_is_no_difference():
    noise = 4e-6 * np.random.default_rng(0).standard_normal(50) + 4e-6  # what batching may move a score by
    assert paired_p(np.clip(noise, -1e-5, 1e-5)) == 1.0


def test_holm_corrects_for_the_number_of_pairs():
    assert holm([0.04]) == [0.04]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert max(holm([0.5, 0.9, 0.7])) == 1.0
    assert holm([]) == []


def test_false_alarms_among_all_pairs_are_as_rare_as_promised(tmp_path):
    wav = {f"s{system}/{number}": "/x.wav" for system in range(6) for number in range(12)}
    data = write_data_directory(tmp_path, wav, systems={key: key[:2] for key in wav})
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):  # six systems of equal quality: 15 pairs
        values = dict(zip(wav, rng.normal(3, 0.5, len(wav)), strict=True))
        scores = [Score(key, None, {"mos": float(value)}, "ok", (), 1.0, 16000, SIGNATURE) for key, value in values.items()]
        alarms += any(pair["significant"] for pair in rank_systems(scores, data)["pairs"])
    assert alarms <= 14  # 5 expected at most; more than 14 has a probability of 1e-4


def test_means_are_over_the_sentences_that_all_systems_have(synthesised):
    data, scores = synthesised
    hardest = min(range(SENTENCES), key=lambda number: scores[number].mos)
    kept = [score for score in scores if score.key != f"good/s{hardest:02d}"]  # good failed on the hardest sentence
    ranking = rank_systems(kept, data)
    assert ranking["n_sentences"] == SENTENCES - 1
    assert {row["n"] for row in ranking["systems"]} == {SENTENCES - 1}
    assert any("best 1, poor 1" in note for note in ranking["notes"])
    assert ranking["unscored"] == {"missing": 1}
    assert {(pair["a"], pair["b"]): pair["n"] for pair in ranking["pairs"]}["best", "poor"] == SENTENCES


def test_systems_without_a_common_sentence_are_ranked_untested_with_a_warning(synthesised):
    data, scores = synthesised
    apart = [score for score in scores if (int(score.key[-2:]) % 2 == 0) == score.key.startswith("good")]
    ranking = rank_systems(apart, data)
    assert ranking["n_sentences"] == 0
    untested = [pair for pair in ranking["pairs"] if pair["p"] is None]
    assert {frozenset((pair["a"], pair["b"])) for pair in untested} == {
        frozenset(p) for p in (("best", "good"), ("good", "poor"))
    }
    assert [row["place"] for row in ranking["systems"] if row["system"] == "good"] == [[1, 3]]
    assert "compare badly" in ranking["notes"][0]
    pairs = [line for line in ranking_table(ranking).splitlines() if re.match(r"\d - \d ", line)]
    assert len(pairs) == 1  # best and poor: no row for what was not tested


def test_the_sentence_may_stand_elsewhere_in_the_key(tmp_path):
    wav = {f"{number}_by_{system}": "/x.wav" for system in "ab" for number in range(4)}
    data = write_data_directory(tmp_path, wav, systems={key: key[-1] for key in wav})
    scores = [Score(key, None, {"mos": float(i)}, "ok", (), 1.0, 16000, SIGNATURE) for i, key in enumerate(wav)]
    assert rank_systems(scores, data)["n_sentences"] == 0
    assert rank_systems(scores, data, sentence_from=r"^\d+")["n_sentences"] == 4
    with pytest.raises(DataError, match="has sentence 'by' twice"):
        rank_systems(scores, data, sentence_from="by")
    with pytest.raises(DataError, match="finds no sentence in 8 keys"):
        rank_systems(scores, data, sentence_from="LJ")


def test_a_ranking_needs_systems(synthesised, without):
    data, scores = synthesised
    with pytest.raises(DataError, match="no utt2system, which a ranking needs"):
        rank_systems(scores, without(data, "systems"))
    others = [replace(score, key=f"x{score.key}") for score in scores]
    with pytest.raises(DataError, match=r"none of its clips has a score for 'mos' \(scores: x"):
        rank_systems(others, data)
    with pytest.raises(DataError, match="scores of best; a ranking needs two systems"):
        rank_systems(scores[:SENTENCES], data)
    with pytest.raises(DataError, match="no score for 'mso', did you mean 'mos'"):
        rank_systems(scores, data, target="mso")


def test_files_say_what_the_ranking_says(synthesised, tmp_path):
    data, scores = synthesised
    path = write_scores(tmp_path / "scores.jsonl", scores)
    ranking = rank(path, data, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "ranking.json").read_text()) == ranking
    table = (tmp_path / "out" / "ranking.md").read_text()
    assert table == ranking_markdown(ranking)
    assert re.search(r"\| 1 \| best \| 1 \| \d\.\d\d \[", table)
    assert re.search(r"\| 1 − 3 \| .* \| 1 better \|", table)
    assert SIGNATURE in table
    page = (tmp_path / "out" / "report.html").read_text()
    for pair in ranking["pairs"]:
        assert f"{abs(pair['difference']):.2f}" in page
    assert page.count('class="sure"') == 2 * len(ranking["pairs"])  # each difference both ways, all significant
    assert "the predictor&#39;s own error" in page
    first = ranking["listening"][0]["sentence"]
    assert f"Sentence {first}" in page
