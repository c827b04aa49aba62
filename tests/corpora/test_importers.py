"""Every importer on a miniature of its corpus, and on folders that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distilmos_plugin import corpora
from distilmos_plugin.data.directory import check
from distilmos_plugin.errors import DataError
from tests.corpora.miniatures import MINIATURES

NAMES = sorted(MINIATURES)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All miniatures, name -> folder; only read."""
    folders = {}
    for name in NAMES:
        folders[name] = tmp_path_factory.mktemp(f"corpus_{name}")
        MINIATURES[name].build(folders[name])
    return folders


@pytest.fixture
def copy(tmp_path: Path):
    """A miniature of one's own, to be spoilt."""

    def make(name: str) -> Path:
        folder = tmp_path / "root"
        folder.mkdir()
        MINIATURES[name].build(folder)
        return folder

    return make


def prepare(name: str, output: Path, root: Path, **options: object) -> None:
    corpora.prepare(name, output, data_root=root, subset=True, **{**MINIATURES[name].options, **options})


def refusal(name: str, output: Path, root: Path, **options: object) -> str:
    """Return the one sentence that an importer refuses a folder with; nothing is left behind."""
    with pytest.raises(DataError) as caught:
        prepare(name, output, root, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    assert not list(output.glob("*/wav.scp"))
    return message


def test_every_importer_has_a_miniature():
    made_here = {"mini"}
    assert set(MINIATURES) == set(corpora.CORPORA) - made_here


@pytest.mark.parametrize("name", NAMES)
def test_docstring_says_what_the_corpus_is(name):
    text = corpora.importer(name).__doc__
    for heading in ("Source:", "Licence:", "Size:", "Rate:", "Layout:", "Citation:"):
        assert f"\n{heading}" in text


@pytest.mark.parametrize("name", NAMES)
def test_imports_its_miniature(name, roots, tmp_path):
    miniature = MINIATURES[name]
    prepare(name, tmp_path, roots[name])
    found = {path.parent.name: check(path.parent) for path in tmp_path.glob("*/wav.scp")}
    assert {part: summary.clips for part, summary in found.items()} == dict(miniature.clips)
    assert {part: summary.systems for part, summary in found.items()} == dict(miniature.systems)
    keys = [line.split()[0] for path in tmp_path.glob("*/wav.scp") for line in path.read_text().splitlines()]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(f"{name}/") for key in keys)
    about = json.loads((tmp_path / "corpus.json").read_text())
    assert about["corpus"] == name
    labelled = {path.name.removeprefix("utt2") for path in tmp_path.glob("*/utt2*")}
    assert labelled & set(corpora.importer(name).CARD.targets) <= set(about["scales"])


@pytest.mark.parametrize("name", NAMES)
def test_is_left_alone_when_current_and_the_same_when_made_again(name, roots, tmp_path, capsys):
    prepare(name, tmp_path / "a", roots[name])
    prepare(name, tmp_path / "b", roots[name])
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    capsys.readouterr()
    prepare(name, tmp_path / "a", roots[name])
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_refuses_a_folder_that_is_no_corpus(name, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no such folder" in refusal(name, tmp_path / "out", tmp_path / "nowhere")
    message = refusal(name, tmp_path / "out", tmp_path / "empty")
    assert "expected" in message or "missing" in message


@pytest.mark.parametrize("name", NAMES)
def test_refuses_the_folder_of_another_corpus(name, roots, tmp_path):
    for other in NAMES:
        if other != name and name not in MINIATURES[other].layouts_of:
            refusal(name, tmp_path / other, roots[other])


@pytest.mark.parametrize(("name", "label"), [(name, label) for name in NAMES for label in MINIATURES[name].labels])
def test_refuses_a_missing_label_file(name, label, copy, tmp_path):
    root = copy(name)
    (root / label).unlink()
    assert Path(label).name in refusal(name, tmp_path / "out", root)


@pytest.mark.parametrize("name", NAMES)
def test_missing_audio_is_listed_where_the_licence_withholds_it_and_refused_elsewhere(name, copy, tmp_path):
    root, wav = copy(name), MINIATURES[name].wav
    (root / wav).unlink()
    if corpora.importer(name).CARD.withheld:
        prepare(name, tmp_path / "out", root)
        assert Path(wav).name in (tmp_path / "out" / "missing.tsv").read_text()
        clips = sum(check(path.parent).clips for path in (tmp_path / "out").glob("*/wav.scp"))
        assert clips == sum(MINIATURES[name].clips.values()) - 1
    strict = refusal(name, tmp_path / "strict", root, strict=True)
    assert Path(wav).name in strict


@pytest.mark.parametrize("name", [name for name in NAMES if corpora.importer(name).CARD.clips])
def test_another_number_of_clips_is_refused(name, roots, tmp_path):
    with pytest.raises(DataError, match="expected"):
        corpora.prepare(name, tmp_path, data_root=roots[name], strict=True, **MINIATURES[name].options)
