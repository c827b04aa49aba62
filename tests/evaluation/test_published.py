"""Published figures: each has a source, and stands beside ours on the same test set only."""

import pytest
import yaml

from distilmos_plugin.corpora import importer
from distilmos_plugin.evaluation import published as module
from distilmos_plugin.evaluation.correlations import METRICS
from distilmos_plugin.evaluation.published import known_sets, place_of, published, published_tables
from distilmos_plugin.files import write_stamp

TABLE = yaml.safe_load((module.resources.files("distilmos_plugin.evaluation") / module.FILE).read_text())
OURS = {
    "target": "mos",
    "utterance": dict.fromkeys(METRICS, 0.5) | {f"{name}_ci": [0.4, 0.6] for name in METRICS},
    "system": None,
    "n_utterances": 1066,
}


@pytest.mark.parametrize("place", TABLE["figures"])
def test_every_figure_has_a_model_a_source_and_a_possible_value(place):
    for row in TABLE["figures"][place]:
        assert row["model"]
        assert row["source"] in TABLE["sources"]
        assert row.keys() <= {"model", "source", "note", "utterance", "system"}
        figures = {name: value for level in ("utterance", "system") for name, value in row.get(level, {}).items()}
        assert figures
        assert figures.keys() <= set(METRICS)
        for name, value in figures.items():
            assert (0 <= value <= 16) if name == "mse" else (-1 <= value <= 1), (row, name)


def test_every_set_with_published_figures_is_one_that_an_importer_makes():
    for place in TABLE["figures"]:
        corpus, test_set = place.split("/")
        assert test_set in importer(corpus).CARD.clips


def test_ours_comes_first_with_its_interval_and_the_sources_are_numbered_below():
    lines = list(published_tables({"bvcc": {"test": OURS}}))
    first = lines.index("### bvcc, test, utterance level")
    assert lines[first + 4].startswith("| **ours** | 0.500 [0.400, 0.600] |")
    assert any(line.startswith("| UTMOS (T17) | 0.165 |  | 0.897 | 0.897 |  | [2]") for line in lines)
    assert any(line.startswith("2. results of the VoiceMOS Challenge 2022") for line in lines)
    assert "### bvcc, test, system level" in lines  # ours has no systems there: the published stand alone
    assert not any("ours" in line for line in lines[lines.index("### bvcc, test, system level") :])


def test_ours_on_fewer_clips_says_so():
    lines = list(published_tables({"bvcc": {"test": OURS | {"n_utterances": 1060}}}))
    (ours,) = (line for line in lines if "**ours**" in line)
    assert ours.endswith("| 1060 of the 1066 clips that the others are on |")


def test_without_figures_of_ours_all_known_test_sets_are_shown():
    assert known_sets("bvcc") == ["dev", "test"]
    assert sum(line.startswith("### ") for line in published_tables({"bvcc": {}})) == 4


def test_figures_keep_the_digits_that_they_were_published_with():
    rows = [line for line in published_tables({"bvcc": {}}) if line.startswith("| Distill-MOS |")]
    assert rows[0].startswith("| Distill-MOS |  |  | 0.82 | 0.81 |  |")


def test_of_another_set_or_corpus_nothing_is_known():
    assert published("bvcc", "train") == ()
    assert published("mini", "test") == ()
    assert list(published_tables({"mini": {"test": OURS}})) == []


@pytest.mark.parametrize(
    ("corpus", "folder", "place"),
    [
        ("nisqa", "test_for", ("nisqa", "test_for")),
        ("bvcc+somos", "test_bvcc", ("bvcc", "test")),
        ("bvcc+somos", "test_ood_nisqa_for", ("nisqa", "test_for")),
        ("bvcc+somos", "test_ood_vmc2024_track2", ("vmc2024_track2", "test")),
        ("bvcc+somos", "test_mine", None),
        ("mine", "test", None),
    ],
)
def test_a_set_is_known_again_in_a_pool(tmp_path, corpus, folder, place):
    write_stamp(tmp_path, {"corpus": corpus})
    assert place_of(tmp_path / folder) == place
