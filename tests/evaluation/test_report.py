"""The report: one file, safe, offline, with or without truth."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.evaluate import assess
from distilmos_plugin.evaluation.pairs import Level
from distilmos_plugin.evaluation.players import MAX_SECONDS, player
from distilmos_plugin.evaluation.plots import RASTER_POINTS, evaluation_plots, ranking_plot, scatter_plot, write_plots
from distilmos_plugin.evaluation.report import PLAYED, write_report
from distilmos_plugin.evaluation.svg import inline_svg

from .conftest import CLIPS, QUALITY, SIGNATURE, write_scores


class Page(HTMLParser):
    """Tags with their attributes, text, and identifiers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def report(listening_test):
    path = listening_test.folder / "with_truth.html"
    write_report(listening_test.poor, path, listening_test.data)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report_without_truth(listening_test):
    path = listening_test.folder / "without_truth.html"
    write_report(listening_test.poor, path, system_from="^[a-f]")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("which", ["report", "report_without_truth"])
def test_nothing_is_loaded_from_elsewhere(which, request):
    page = Page(request.getfixturevalue(which))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form"}
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    style = request.getfixturevalue(which).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("which", ["report", "report_without_truth"])
def test_identifiers_are_unique_and_references_have_one(which, request):
    page = Page(request.getfixturevalue(which))
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    references = {value[1:] for _, attributes in page.tags if (value := attributes.get("xlink:href") or "").startswith("#")}
    references |= {match for _, a in page.tags for match in re.findall(r"url\(#([^)]*)\)", a.get("clip-path") or "")}
    assert references <= set(identifiers)


def test_the_page_follows_the_theme_and_the_width():
    from pathlib import Path

    import distilmos_plugin.evaluation.report as module

    template = Path(module.__file__).with_name("report.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in template
    assert 'name="viewport"' in template
    for table in re.finditer("<table>", template):
        assert re.search(r'<div class="panel scroll[^>]*>\s*$', template[: table.start()]), "a table scrolls inside its box"


def test_plots_take_their_colours_from_the_theme_and_have_tooltips(report):
    svg = "".join(re.findall(r"<svg.*?</svg>", report, re.DOTALL))
    assert "var(--accent)" in svg
    assert "#2f6fde" not in svg
    assert len(re.findall(r"<title>", svg)) == CLIPS * len(QUALITY) + len(QUALITY)  # clips and systems


def test_the_evaluation_report_has_all_its_parts(report):
    text = Page(report).text
    for part in ("System SRCC", "Summary", "Clips", "Systems", "Calibration", "Distribution", "Worst misses", "Flagged clips"):
        assert part in text
    assert "Clips without a score" in text
    assert all(system in text for system in QUALITY)
    assert "on average the prediction" in text.lower() or "No bias is seen" in text


def test_worst_misses_come_first_and_can_be_played(report, listening_test):
    page = Page(report)
    truth = listening_test.data.targets["mos"]
    errors = {
        key: abs(score - truth[key])
        for score, key in ((score.mos, score.key) for score in listening_test.scores(1.0, "any", seed=2))
    }
    worst = sorted(errors, key=lambda key: -errors[key])[:PLAYED]
    shown = re.findall(r'<div class="name"><b>(\w+)</b>', report)
    assert shown == worst
    players = page.all("audio")
    assert len(players) == PLAYED
    for attributes in players:
        sound = base64.b64decode(attributes["src"].removeprefix("data:audio/wav;base64,"))
        info = soundfile.info(io.BytesIO(sound))
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert info.duration == pytest.approx(0.3, abs=0.001)


def test_without_truth_the_lowest_and_highest_scores_can_be_played(report_without_truth, listening_test):
    text = Page(report_without_truth).text
    scores = {score.key: score.mos for score in listening_test.scores(1.0, "any", seed=2)}
    order = sorted(scores, key=scores.get)
    shown = re.findall(r'<div class="name"><b>(\w+)</b>', report_without_truth)
    assert shown == [*order[:5], *reversed(order[-5:])]
    for part in ("Predicted MOS", "Distribution", "Systems", "Lowest scores", "Highest scores"):
        assert part in text
    assert "Worst misses" not in text
    assert "RMSE" not in text


def test_systems_come_from_the_data_directory_where_labels_are_missing(listening_test, tmp_path):
    unlabelled = replace(listening_test.data, targets={})
    page = Page(write_report(listening_test.good, tmp_path / "report.html", unlabelled).read_text())
    assert "of 6 systems" in page.text


def test_a_single_score_is_enough(listening_test, tmp_path):
    one = write_scores(tmp_path / "one.jsonl", listening_test.scores(0.2, SIGNATURE, seed=1)[:1])
    page = Page(write_report(one, tmp_path / "report.html").read_text())
    assert "1 clip scored" in page.text
    assert len(page.all("audio")) == 1


def test_no_score_at_all_still_gives_a_report_of_the_reasons(listening_test, tmp_path):
    scores = [replace(s, targets={}, status="empty", reason="no samples") for s in listening_test.scores(0, SIGNATURE, seed=1)]
    text = Page(write_report(write_scores(tmp_path / "s.jsonl", scores), tmp_path / "report.html").read_text()).text
    assert "0 clips scored" in text
    assert "no samples" in text


def test_flagged_and_unscored_clips_are_listed_and_the_merely_resampled_counted(listening_test, tmp_path):
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)
    scores[0] = replace(scores[0], flags=("clipped", "resampled"))
    scores[1] = replace(scores[1], flags=("resampled",))
    scores[2] = replace(scores[2], targets={}, status="unreadable", reason="a2.wav: the file is damaged")
    report = write_report(write_scores(tmp_path / "s.jsonl", scores), tmp_path / "report.html").read_text()
    text = Page(report).text
    assert "1 without a score, 1 flagged" in text
    assert "1 clip was resampled and nothing else" in text
    assert "a2.wav: the file is damaged" in text
    assert 'title="a1"' not in report


def test_names_from_outside_are_shown_and_never_run(listening_test, tmp_path):
    evil = "</title><script>alert(1)</script>&$\\frac"
    scores = [replace(s, key=f"{s.key}{evil}") for s in listening_test.scores(0.2, evil, seed=1)]
    data = replace(
        listening_test.data,
        wav={f"{key}{evil}": path for key, path in listening_test.data.wav.items()},
        targets={"mos": {f"{key}{evil}": value for key, value in listening_test.data.targets["mos"].items()}},
        systems={f"{key}{evil}": f"{system}{evil}" for key, system in listening_test.data.systems.items()},
        ratings=None,
    )
    path = write_scores(tmp_path / "s.jsonl", scores)
    page = Page(write_report(path, tmp_path / "report.html", data).read_text())
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.text
    assert all(png.stat().st_size > 1000 for png in write_plots(assess(path, data), tmp_path))


def test_a_report_is_html_and_not_called_anything_else(listening_test, tmp_path):
    with pytest.raises(DataError, match=r"x\.pdf: a report is an HTML file; expected the ending \.html, found '\.pdf'"):
        write_report(listening_test.good, tmp_path / "x.pdf")
    assert not (tmp_path / "x.pdf").exists()


def test_a_failed_report_leaves_the_old_one(listening_test, tmp_path):
    output = tmp_path / "report.html"
    output.write_text("old")
    with pytest.raises(DataError, match="not a regular expression"):
        write_report(listening_test.good, output, system_from="(")
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_long_audio_is_cut_and_says_so(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 25), 8000)
    sound = player(str(tmp_path / "long.wav"))
    info = soundfile.info(io.BytesIO(base64.b64decode(sound.uri.partition(",")[2])))
    assert (info.samplerate, info.duration) == (8000, MAX_SECONDS)  # a lower rate is kept
    assert sound.note == "the first 10 of 25 s"


def test_audio_that_is_gone_leaves_a_note(tmp_path):
    assert "gone.wav" in player(str(tmp_path / "gone.wav")).note
    assert player(str(tmp_path / "gone.wav")).uri == ""
    assert player(None).uri == ""


def test_a_command_pipe_in_a_score_file_is_not_run(tmp_path):
    sound = player(f"touch {tmp_path}/ran |")
    assert sound.uri == ""
    assert not (tmp_path / "ran").exists()


def test_many_points_become_one_image():
    count = RASTER_POINTS + 1
    values = np.linspace(1, 5, count)
    plot = scatter_plot("scatter_utterance", "Clips", Level(tuple(map(str, range(count))), values, values), "mos")
    root = ElementTree.fromstring(inline_svg(plot))
    assert len(root.findall(".//{http://www.w3.org/2000/svg}image")) == 1
    assert len(inline_svg(plot)) < 200_000


def test_the_same_plot_gives_the_same_bytes(listening_test, tmp_path):
    evaluation = assess(listening_test.good, listening_test.data)
    first, second = ([inline_svg(plot) for plot in evaluation_plots(evaluation)] for _ in range(2))
    assert first == second
    pictures = [[path.read_bytes() for path in write_plots(evaluation, tmp_path / name)] for name in "ab"]
    assert pictures[0] == pictures[1]


def test_the_callers_matplotlib_settings_are_left_alone(listening_test):
    import matplotlib

    before = dict(matplotlib.rcParams)
    list(map(inline_svg, evaluation_plots(assess(listening_test.good, listening_test.data))))
    assert dict(matplotlib.rcParams) == before


def test_very_many_systems_show_the_best_and_the_worst():
    rows = [
        {"system": f"s{i}", "prediction": 5 - i / 100, "prediction_ci": None, "truth": 3.0, "truth_ci": [2.9, 3.1]}
        for i in range(300)
    ]
    (plot,) = ranking_plot(rows, "mos")
    labels = [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]
    assert len(labels) == 120
    assert (labels[0], labels[59], labels[60], labels[-1]) == ("s0", "s59", "s240", "s299")
