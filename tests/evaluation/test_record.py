"""RESULTS.md of a recipe."""

import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.record import NOTHING, record_results

RESULTS = """# {name}

```
./run.sh --tag x
# a comment
```

System `distilmos`.

## MOS, utterance level

| test set | LCC |

Reports: [test](test/report.html), [test_ood](test_ood/report.html).

## Environment
"""


def experiment(folder, name):
    (folder / name).mkdir()
    (folder / name / "RESULTS.md").write_text(RESULTS.format(name=name))
    return folder / name


def test_a_recipe_that_was_not_run_says_so(tmp_path):
    text = record_results(tmp_path / "mini" / "RESULTS.md", ["mini"]).read_text()
    assert text.startswith("# mini\n\n- `mini`: simulated listening test, truth is wideband PESQ; made on the spot\n")
    assert NOTHING in text


def test_experiments_stand_below_one_another_and_one_that_is_run_again_is_replaced(tmp_path):
    output = tmp_path / "mini" / "RESULTS.md"
    record_results(output, ["mini"])
    record_results(output, ["mini"], experiment(tmp_path, "b"))
    first = record_results(output, ["mini"], experiment(tmp_path, "a")).read_text()
    assert NOTHING not in first
    assert [line for line in first.splitlines() if line.startswith("## ")] == ["## a", "## b"]
    assert first.count("### MOS, utterance level") == 2
    assert "\n# a comment\n" in first  # code is not a heading
    assert f"Reports: `{tmp_path / 'a'}/test/report.html`, `{tmp_path / 'a'}/test_ood/report.html`." in first
    assert record_results(output, ["mini"], tmp_path / "b").read_text() == first


def test_an_experiment_without_results_is_named(tmp_path):
    with pytest.raises(DataError, match=r"x/RESULTS\.md: no results; write them first: distilmos results"):
        record_results(tmp_path / "mini" / "RESULTS.md", ["mini"], tmp_path / "x")
    assert not (tmp_path / "mini" / "RESULTS.md").exists()


def test_a_recipe_of_several_corpora_keeps_its_head_when_one_of_them_is_run(tmp_path):
    output = tmp_path / "tracks" / "RESULTS.md"
    text = record_results(output, ["vmc2023_track1", "vmc2023_track2"]).read_text()
    head = text.partition(NOTHING)[0]
    assert head.startswith("# tracks\n\n- `vmc2023_track1`: ")
    assert "- `vmc2023_track2`: " in head
    text = record_results(output, ["vmc2023_track2"], experiment(tmp_path, "x")).read_text()
    assert text.startswith(head + "## x\n")


def test_a_table_over_many_experiments_is_not_taken_for_the_results_of_a_recipe(tmp_path):
    output = tmp_path / "RESULTS.md"
    output.write_text(before := "# Results\n\n## First target of each system\n\n| experiment |\n")
    with pytest.raises(DataError, match="not the results of a recipe"):
        record_results(output, ["mini"], experiment(tmp_path, "a"))
    assert output.read_text() == before
