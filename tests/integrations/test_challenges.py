"""Answers to challenges: what is packed is what the challenge takes, and nothing else is packed."""

from __future__ import annotations

import math
import random
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from distilmos_plugin import corpora
from distilmos_plugin.cli import app
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import write_json
from distilmos_plugin.integrations.challenges.formats import CHALLENGES, describe
from distilmos_plugin.integrations.challenges.judging import check_answer, official_table, score_answer
from distilmos_plugin.integrations.challenges.packing import pack, pack_stage
from distilmos_plugin.scoring.results import Score, ScoreWriter
from tests.corpora.miniatures import MINIATURES

DEVELOPMENT = {
    "audiomos2025_track1": ("dev",),
    "vmc2026_track1": ("dev",),
    "vmc2026_track2": ("dev",),
    "vmc2026_track3": ("dev",),
}
ORDERS = {"vmc2024_track3": "OVRL,SIG,BAK", "audiomos2025_track2": "CE,CU,PC,PQ"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniatures of all corpora that belong to a challenge: <corpus>/<set>."""
    output = tmp_path_factory.mktemp("data")
    for corpus in sorted({corpus for challenge in CHALLENGES.values() for corpus in challenge.corpora}):
        root = tmp_path_factory.mktemp(corpus)
        MINIATURES[corpus].build(root)
        corpora.prepare(corpus, output / corpus, data_root=root, subset=True, **MINIATURES[corpus].options)
    return output


def asked_for(challenge: str, data: Path) -> list[Path]:
    """The data directories of an answer."""
    corpus = CHALLENGES[challenge].corpora[0]
    names = DEVELOPMENT.get(challenge) or sorted(path.name for path in (data / corpus).glob("test*"))
    return [data / corpus / name for name in names]


def write_scores(path: Path, scores: Mapping[str, Mapping[str, float] | str]) -> Path:
    """Write a score file: key -> target -> score, or the status of a clip without one."""
    with ScoreWriter(path) as writer:
        writer.write(
            Score(key, f"{key}.wav", {}, found, (), 1.0, 16000, "signature", found)
            if isinstance(found, str)
            else Score(key, f"{key}.wav", found, "ok", (), 1.0, 16000, "signature")
            for key, found in scores.items()
        )
    return path


def predictions(challenge: str, directories: list[Path], shift: float = 0.0) -> dict[str, dict[str, float]]:
    """Scores of every target of a challenge for every clip, all different."""
    targets = [target for column in CHALLENGES[challenge].columns for target in column.targets]
    keys = sorted(key for directory in directories for key in DataDirectory.read(directory).keys)
    return {
        key: {target: round(1.5 + 0.25 * row + 0.125 * column + shift, 6) for column, target in enumerate(targets)}
        for row, key in enumerate(keys)
    }


def content(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 1
        return archive.read(archive.namelist()[0]).decode()


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_what_is_packed_is_sound_and_the_same_bytes_each_time(challenge, data, tmp_path):
    directories = asked_for(challenge, data)
    found = predictions(challenge, directories)
    shuffled = dict(random.Random(0).sample(list(found.items()), len(found)))
    options = {"data": directories, "columns": ORDERS.get(challenge)}
    pack(challenge, [write_scores(tmp_path / "a.jsonl", found)], tmp_path / "a.zip", **options)
    time.sleep(0.01)
    pack(challenge, [write_scores(tmp_path / "b.jsonl", shuffled)], tmp_path / "b.zip", **options)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert "an answer to" in check_answer(tmp_path / "a.zip", challenge, directories)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [CHALLENGES[challenge].file]
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
    text = content(tmp_path / "a.zip")
    assert text.endswith("\n")
    assert "\r" not in text
    ids = [line.partition(",")[0] for line in text.splitlines()[bool(CHALLENGES[challenge].header) :]]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("challenge", "lines"),
    [
        ("vmc2022", ["sys00691-utt00e6ae6,1.500000", "sys00691-utt00e6ae7,1.750000"]),
        ("vmc2023_track1", ["VoiceMOS2023Track1-A-AD_test_0026,1.500000"]),
        ("vmc2024_track2", ["voicemos2024-track2-sys0003-utt0001,1.500000"]),
        ("vmc2024_track3", ["voicemos2024-track3-p232_sys1_005,1.750000,1.500000,1.625000"]),  # in the order OVRL,SIG,BAK
        ("audiomos2025_track1", ["audiomos2025-track1-S008_P021,1.500000,1.625000"]),
        ("audiomos2025_track2", ["audiomos2025-track2-sys0v1wm-utt0dJodp,1.750000,1.875000,1.625000,1.500000"]),
        ("audiomos2025_track3", ["audiomos-track3-24k_sys3_utt2,1.500000"]),
        ("vmc2026_track1", ["sample_id,pred_score", "vmc2026-track1-dev-acr_489,1.500000"]),
        (
            "vmc2026_track2",
            [
                "wav,QMOS,EMOS,CAT,VAL,ARO,DOM",
                "vmc2026-track2-sys003-spk026-utt041.wav,1.500000,1.625000,angry:1.750000|happy:1.875000|neutral:2.000000|"
                "sad:2.125000|surprised:2.250000,2.375000,2.500000,2.625000",
            ],
        ),
        (
            "vmc2026_track3",
            [
                "system_id,utterance_id,wav_a_path,wav_b_path,pred_acc_sim,pred_spk_sim",
                "sys019,utt009,wav/vmc2026-track3-sys019-utt009.wav,wav/vmc2026-track3-sys019-utt011.wav,1.500000,1.625000",
            ],
        ),
    ],
)
def test_lines_are_in_the_challenges_form(challenge, lines, data, tmp_path):
    directories = asked_for(challenge, data)
    scores = write_scores(tmp_path / "scores.jsonl", predictions(challenge, directories))
    pack(challenge, [scores], tmp_path / "answer.zip", data=directories, columns=ORDERS.get(challenge))
    assert content(tmp_path / "answer.zip").splitlines()[: len(lines)] == lines


def test_pairs_are_the_difference_of_their_scores_within_the_scale(data, tmp_path):
    name = "vmc2026_track1/vmc2026-track1-dev"
    scores = {f"{name}-acr_489": 9.0, f"{name}-acr_490": 2.0, f"{name}-ccr_7233_a": 2.0, f"{name}-ccr_7233_b": 4.5}
    file = write_scores(tmp_path / "scores.jsonl", {key: {"mos": value} for key, value in scores.items()})
    pack("vmc2026_track1", [file], tmp_path / "answer.zip", data=[data / "vmc2026_track1" / "dev"])
    assert content(tmp_path / "answer.zip").splitlines()[1:] == [
        "vmc2026-track1-dev-acr_489,5.000000",
        "vmc2026-track1-dev-acr_490,2.000000",
        "vmc2026-track1-dev-ccr_7233,-2.500000",
    ]


def test_optional_columns_are_left_out_where_nothing_predicts_them(data, tmp_path):
    key = "vmc2026_track2/vmc2026-track2-sys003-spk026-utt041"
    some = {"mos": 3.0, "emos": 2.0, "valence": 4.0, "angry": 0.5}
    directory = data / "vmc2026_track2" / "dev"
    pack("vmc2026_track2", [write_scores(tmp_path / "a.jsonl", {key: some})], tmp_path / "answer.zip", data=[directory])
    assert content(tmp_path / "answer.zip").splitlines()[0] == "wav,QMOS,EMOS,VAL"
    with pytest.raises(DataError, match="the scores have mos; it needs emos too"):
        pack("vmc2026_track2", [write_scores(tmp_path / "b.jsonl", {key: {"mos": 3.0}})], tmp_path / "b.zip", data=[directory])


def test_file_names_without_a_corpus_are_ids_too(data, tmp_path):
    scores = {f"{name}.wav": {"mos": 3.0} for name in ("sys00691-utt00e6ae6", "sys00691-utt00e6ae7")}
    pack("vmc2022", [write_scores(tmp_path / "a.jsonl", scores)], tmp_path / "a.zip", data=[data / "bvcc" / "test"])
    assert content(tmp_path / "a.zip").splitlines()[0] == "sys00691-utt00e6ae6,3.000000"


# What is refused, and that it says which


@pytest.fixture
def main(data: Path) -> tuple[Path, dict[str, dict[str, float]]]:
    """The test set of BVCC's miniature, and scores of it."""
    directory = data / "bvcc" / "test"
    return directory, predictions("vmc2022", [directory])


def refused(
    tmp_path: Path, directory: Path, scores: Mapping[str, object], challenge: str = "vmc2022", **options: object
) -> str:
    file = write_scores(tmp_path / "scores.jsonl", scores)
    with pytest.raises(DataError) as caught:
        pack(challenge, [file], tmp_path / "answer.zip", data=[directory], **options)
    assert not (tmp_path / "answer.zip").exists()
    return str(caught.value)


def test_a_missing_id_is_named(main, tmp_path):
    directory, scores = main
    del scores["bvcc/sys00691-utt00e6ae7"]
    assert "clips of bvcc that have no score: 1 (sys00691-utt00e6ae7)" in refused(tmp_path, directory, scores)


def test_an_id_too_many_is_named(main, tmp_path):
    directory, scores = main
    scores["bvcc/sys00691-utt0000000"] = {"mos": 3.0}
    assert "clips of bvcc that are not asked for: 1 (sys00691-utt0000000)" in refused(tmp_path, directory, scores)


def test_an_id_that_comes_twice_is_named(main, tmp_path):
    directory, scores = main
    scores["sys00691-utt00e6ae6.wav"] = {"mos": 3.0}  # another key, the same id
    assert "ids with more than one score: 1 (sys00691-utt00e6ae6.wav)" in refused(tmp_path, directory, scores)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_not_finite_is_named(value, main, tmp_path):
    directory, scores = main
    file = write_scores(tmp_path / "scores.jsonl", scores)
    file.write_text(file.read_text().replace('"mos": 1.75', f'"mos": {value}'))
    with pytest.raises(DataError, match=r"clips of bvcc that have no finite score: 1 \(sys00691-utt00e6ae7: not finite\)"):
        pack("vmc2022", [file], tmp_path / "answer.zip", data=[directory])


def test_a_clip_that_could_not_be_scored_is_named_with_the_reason(main, tmp_path):
    directory, scores = main
    message = refused(tmp_path, directory, {**scores, "bvcc/sys00691-utt00e6ae7": "too_short"})
    assert "sys00691-utt00e6ae7: too_short" in message


def test_a_clip_without_one_of_the_targets_is_named(data, tmp_path):
    directory = data / "audiomos2025_track1" / "dev"
    key = "audiomos2025_track1/audiomos2025-track1-S008_P021"
    assert "it needs alignment too" in refused(tmp_path, directory, {key: {"mos": 3.0}}, "audiomos2025_track1")
    scores = {key: {"mos": 3.0}, f"{key}0": {"mos": 3.0, "alignment": 2.0}}
    assert f"{key.partition('/')[2]}: no alignment" in refused(tmp_path, directory, scores, "audiomos2025_track1")


def test_a_predicted_deviation_is_not_part_of_an_answer(main, tmp_path):
    directory, scores = main
    file = write_scores(tmp_path / "scores.jsonl", {key: {**found, "mos_std": 0.25} for key, found in scores.items()})
    pack("vmc2022", [file], tmp_path / "answer.zip", data=[directory])
    assert content(tmp_path / "answer.zip").splitlines()[0] == "sys00691-utt00e6ae6,1.500000"


def test_clips_of_another_corpus_are_named(main, tmp_path):
    directory, scores = main
    message = refused(tmp_path, directory, {**scores, "somos/novel_2007_0098_015": {"mos": 3.0}})
    assert "scores of clips that are not asked for: 1 (somos/novel_2007_0098_015)" in message


def test_clips_whose_audio_is_missing_are_missing_in_the_answer(data, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    MINIATURES["bvcc"].build(root)
    (root / "main/DATA/wav/sys00691-utt00e6ae7.wav").unlink()
    corpora.prepare("bvcc", tmp_path / "data", data_root=root, subset=True)
    scores = {"bvcc/sys00691-utt00e6ae6": {"mos": 3.0}}
    assert "have no score: 1 (sys00691-utt00e6ae7)" in refused(tmp_path, tmp_path / "data" / "test", scores)


def test_without_a_list_the_number_has_to_be_the_challenges(main, tmp_path):
    _, scores = main
    file = write_scores(tmp_path / "scores.jsonl", scores)
    with pytest.raises(DataError, match="2 clips of bvcc, 1066 expected: give --data or --ids"):
        pack("vmc2022", [file], tmp_path / "answer.zip")
    full = {f"bvcc/sys00000-utt{number:07x}": {"mos": 3.0} for number in range(1066)}
    pack("vmc2022", [write_scores(tmp_path / "full.jsonl", full)], tmp_path / "answer.zip")
    assert "1066 lines" in check_answer(tmp_path / "answer.zip", "vmc2022")
    plain = {key.partition("/")[2]: found for key, found in scores.items()}
    with pytest.raises(DataError, match="is not published: give --data or --ids"):
        pack("vmc2024_track1", [write_scores(tmp_path / "plain.jsonl", plain)], tmp_path / "answer.zip")


def test_an_unknown_order_of_columns_has_to_be_given(data, tmp_path):
    directories = asked_for("vmc2024_track3", data)
    scores = predictions("vmc2024_track3", directories)
    assert "--columns SIG,BAK,OVRL or another order" in refused(tmp_path, directories[0], scores, "vmc2024_track3")
    message = refused(tmp_path, directories[0], scores, "vmc2024_track3", columns="SIG,BAK,OVR")
    assert "--columns is an order of SIG, BAK, OVRL, found SIG,BAK,OVR" in message


# VoiceMOS 2022: main and out-of-domain track in one file


def test_main_comes_before_out_of_domain(data, tmp_path):
    directories = [data / "bc19" / "test", data / "bvcc" / "test"]
    files = [
        write_scores(tmp_path / f"{directory.parent.name}.jsonl", predictions("vmc2022", [directory], shift))
        for directory, shift in zip(directories, (1.0, 0.0), strict=True)
    ]
    # The miniatures have the same ids; the corpora have not
    with pytest.raises(DataError, match=r"more than one corpus: 2 \(sys00691-utt00e6ae6, sys00691-utt00e6ae7\)"):
        pack("vmc2022", files, tmp_path / "answer.zip", data=directories)
    ids = {"bvcc": "sysfffff-utt0000001", "bc19": "sys00001-utt0000001"}
    scores = {f"{corpus}/{name}": {"mos": 3.0} for corpus, name in ids.items()}
    for corpus, name in ids.items():
        (tmp_path / f"{corpus}.txt").write_text(f"{name}.wav\n")
    file = write_scores(tmp_path / "both.jsonl", scores)
    pack("vmc2022", [file], tmp_path / "answer.zip", ids=[tmp_path / "bvcc.txt", tmp_path / "bc19.txt"])
    assert content(tmp_path / "answer.zip") == "sysfffff-utt0000001,3.000000\nsys00001-utt0000001,3.000000\n"


def test_out_of_domain_alone_is_refused(data, tmp_path):
    directory = data / "bc19" / "test"
    message = refused(tmp_path, directory, predictions("vmc2022", [directory]))
    assert "no scores of bvcc; an answer without it is refused" in message


# Answers that were made elsewhere


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


LINES = b"sys00691-utt00e6ae6,3.5\nsys00691-utt00e6ae7,2.5\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"answer.txt": LINES}, ""),
        ({"answer.csv": LINES}, "the table is called answer.csv; vmc2022 wants answer.txt"),
        ({"mine/answer.txt": LINES}, "expected one file, not in a folder"),
        ({"answer.txt": LINES, "__MACOSX/._answer.txt": b""}, "expected one file, not in a folder"),
        ({"answer.txt": b"\xef\xbb\xbf" + LINES}, "begins with a byte order mark"),
        ({"answer.txt": LINES.replace(b"\n", b"\r\n")}, "lines end in CRLF"),
        ({"answer.txt": LINES.replace(b",", b".wav,")}, "ids that are not of this challenge: 2 (sys00691-utt00e6ae6.wav"),
        ({"answer.txt": b"id,score\n" + LINES}, "ids that are not of this challenge: 1 (id)"),
        ({"answer.txt": LINES + LINES[:24] + b"1\n"}, "ids that come twice: 1 (sys00691-utt00e6ae6)"),
        ({"answer.txt": LINES.replace(b"2.5", b"nan")}, "ids whose score is not a finite number: 1 (sys00691-utt00e6ae7)"),
        ({"answer.txt": LINES.replace(b"2.5", b"[2.5]")}, "ids whose score is not a finite number: 1 (sys00691-utt00e6ae7)"),
        ({"answer.txt": LINES.replace(b"2.5", b"tensor(2.5)")}, "not a finite number"),
        ({"answer.txt": LINES.replace(b",2.5", b"")}, "lines without exactly 1 scores: 1 (line 2)"),
        ({"answer.txt": LINES[:24]}, "clips of bvcc that are missing: 1 (sys00691-utt00e6ae7)"),
        ({"answer.txt": LINES + b"sys00691-utt0000000,1\n"}, "clips that are not asked for: 1 (sys00691-utt0000000)"),
        ({"answer.txt": b""}, "the table is empty"),
        ({"answer.txt": b"\xff\xfe"}, "not UTF-8"),
    ],
)
def test_answers_made_elsewhere_are_checked(files, said, data, tmp_path):
    path = write_zip(tmp_path / "answer.zip", files)
    options = {"challenge": "vmc2022", "data": [data / "bvcc" / "test"]}
    if not said:
        assert check_answer(path, **options) == f"{path}: an answer to vmc2022, 2 lines of mos"
        return
    with pytest.raises(DataError) as caught:
        check_answer(path, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("challenge", [name for name in CHALLENGES if name not in ("vmc2022", "vmc2024_track1")])
def test_the_challenge_is_recognised_by_its_ids(challenge, data, tmp_path):
    directories = asked_for(challenge, data)
    scores = write_scores(tmp_path / "scores.jsonl", predictions(challenge, directories))
    pack(challenge, [scores], tmp_path / "answer.zip", data=directories, columns=ORDERS.get(challenge))
    assert f"an answer to {challenge}," in check_answer(tmp_path / "answer.zip", data=directories)


def test_ids_of_two_challenges_have_to_be_named(data, tmp_path):
    path = write_zip(tmp_path / "answer.zip", {"answer.txt": LINES})
    with pytest.raises(DataError, match=r"which challenge is this\? could be one of vmc2022, vmc2024_track1"):
        check_answer(path, data=[data / "bvcc" / "test"])
    with pytest.raises(DataError, match="'hello' is no id of any challenge"):
        check_answer(write_zip(tmp_path / "b.zip", {"answer.txt": b"hello,1\n"}))


# Official figures


def test_official_figures_are_those_of_the_definitions(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"sys{system:05x}-utt{number:07x}" for system in range(6) for number in range(5)]
    truth = {name: float(value) for name, value in zip(names, rng.uniform(1, 5, len(names)), strict=True)}
    answer = {name: float(np.clip(value + rng.normal(0, 0.5), 1, 5)) for name, value in truth.items()}
    write_directory(tmp_path / "test", truth)
    lines = "".join(f"{name},{value!r}\n" for name, value in answer.items())
    path = write_zip(tmp_path / "answer.zip", {"answer.txt": lines.encode()})
    figures = score_answer(path, [tmp_path / "test"], "vmc2022")[str(tmp_path / "test")]["mos"]
    y, p = (np.array([table[name] for name in names]) for table in (truth, answer))
    for level, (a, b) in {"utterance": (y, p), "system": (y.reshape(6, 5).mean(1), p.reshape(6, 5).mean(1))}.items():
        expected = {
            "mse": np.mean((a - b) ** 2),
            "lcc": np.corrcoef(a, b)[0, 1],
            "srcc": stats.spearmanr(a, b).statistic,
            "ktau": stats.kendalltau(a, b).statistic,
        }
        assert figures[level] == pytest.approx(expected, rel=1e-9)  # the same formulae in float64


def write_directory(path: Path, truth: Mapping[str, float], corpus: str = "bvcc") -> None:
    keys = {f"{corpus}/{name}": name for name in truth}
    write_data_directory(
        path,
        {key: f"{name}.wav" for key, name in keys.items()},
        {"mos": {key: truth[name] for key, name in keys.items()}},
        systems={key: name.partition("-")[0] for key, name in keys.items()},
    )


def test_a_clip_of_the_truth_that_is_not_in_the_answer_is_named(data, tmp_path):
    path = write_zip(tmp_path / "answer.zip", {"answer.txt": LINES[:24]})
    with pytest.raises(DataError, match=r"clips of .* that are not in it: 1 \(bvcc/sys00691-utt00e6ae7\)"):
        score_answer(path, [data / "bvcc" / "test"], "vmc2022")


def test_both_tasks_of_a_track_are_scored_apart(data, tmp_path):
    directories = asked_for("vmc2023_track1", data)
    scores = write_scores(tmp_path / "scores.jsonl", predictions("vmc2023_track1", directories))
    pack("vmc2023_track1", [scores], tmp_path / "answer.zip", data=directories)
    figures = score_answer(tmp_path / "answer.zip", directories)
    assert set(figures) == {str(directory) for directory in directories}
    assert "test_1b mos system" in official_table(figures)


def test_the_error_of_emotions_is_the_mean_difference_of_shares(tmp_path, data):
    directory = data / "vmc2026_track2" / "train"
    names = sorted(key.partition("/")[2] for key in DataDirectory.read(directory).keys)
    head = "wav,QMOS,EMOS,CAT\n"
    shares = "angry:0|happy:1|neutral:0|sad:0|surprised:0"  # the truth is 1/3, 2/3, 0, 0, 1/3
    lines = "".join(f"{name}.wav,{3 + index},3,{shares}\n" for index, name in enumerate(names))
    path = write_zip(tmp_path / "answer.zip", {"answer.txt": (head + lines).encode()})
    figures = score_answer(path, [directory])[str(directory)]
    assert figures["categorical_error"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 3) / 5)
    assert figures["mos"]["utterance"]["srcc"] is None  # the truth is constant: not computable, and not 0
    write_json(tmp_path / "figures.json", figures)
    assert not any(isinstance(value, float) and math.isnan(value) for value in figures["mos"]["utterance"].values())


# The recipe


def test_the_stage_packs_what_belongs_to_a_challenge_and_says_what_does_not(data, tmp_path, capsys):
    directories = [data / "bvcc" / "test", *asked_for("vmc2023_track1", data)]
    challenges = ("vmc2022", "vmc2023_track1", "vmc2023_track1")
    scores = [
        write_scores(tmp_path / f"{number}.jsonl", predictions(challenge, [directory]))
        for number, (challenge, directory) in enumerate(zip(challenges, directories, strict=True))
    ]
    written = pack_stage(scores, directories, tmp_path)
    assert [path.name for path in written] == ["vmc2022.zip", "vmc2023_track1.zip"]
    assert len(content(written[1]).splitlines()) == 3
    assert pack_stage(scores[:0], [], tmp_path) == []
    assert "none of the test sets belongs to a challenge" in capsys.readouterr().err


def test_the_stage_says_why_an_answer_is_not_packed(data, tmp_path, capsys):
    directory = data / "bvcc" / "test"
    file = write_scores(tmp_path / "scores.jsonl", {"bvcc/sys00691-utt00e6ae6": {"mos": 3.0}})
    (tmp_path / "vmc2022.zip").write_bytes(b"of an earlier run")
    assert pack_stage([file], [directory], tmp_path) == []
    assert "no answer is packed: vmc2022: clips of bvcc that have no score: 1 (sys00691-utt00e6ae7)" in capsys.readouterr().err
    assert not (tmp_path / "vmc2022.zip").exists()


def test_the_list_names_every_challenge():
    assert all(name in describe() for name in CHALLENGES)


def test_main_and_out_of_domain_track_of_a_pool_are_one_answer(data, tmp_path):
    ids = {"bvcc": "sys64e2f-utt9c183cd", "bc19": "sys11111-utt1111111"}
    scores, directories = [], []
    for corpus, name in ids.items():
        directories.append(tmp_path / "pool" / f"test_{corpus}")
        write_directory(directories[-1], {name: 3.0}, corpus)
        scores.append(write_scores(tmp_path / f"{corpus}.jsonl", {f"{corpus}/{name}": {"mos": 2.5}}))
    (written,) = pack_stage(scores, directories, tmp_path)
    assert content(written) == "sys64e2f-utt9c183cd,2.500000\nsys11111-utt1111111,2.500000\n"


# The command


def test_the_command_packs_checks_and_scores(main, tmp_path):
    directory, scores = main
    file, answer = write_scores(tmp_path / "scores.jsonl", scores), tmp_path / "answer.zip"
    options = ["--data", str(directory)]
    commands = {
        ("vmc2022", str(file), "-o", str(answer), *options): "",
        ("check", str(answer), "--challenge", "vmc2022", *options): "an answer to vmc2022, 2 lines of mos",
        ("score", str(answer), "--challenge", "vmc2022", *options, "-o", str(tmp_path / "figures.json")): "mos utterance",
        ("list",): "vmc2026_track3",
    }
    for arguments, said in commands.items():
        result = CliRunner().invoke(app, ["submit", *arguments])
        assert result.exit_code == 0, result.output
        assert said in result.output
    assert content(answer).count("\n") == 2
    assert (tmp_path / "figures.json").is_file()


def test_a_misspelt_challenge_is_a_suggestion(tmp_path):
    result = CliRunner().invoke(app, ["submit", "vmc2202", "scores.jsonl", "-o", str(tmp_path / "answer.zip")])
    assert "unknown challenge 'vmc2202', did you mean 'vmc2022'?" in str(result.exception)
