"""Track 3 of the AudioMOS Challenge 2025: speech at 16, 24 and 48 kHz, where the rate itself is being rated.

Source:   ``track3_post_eval_distro.tar.gz``, https://huggingface.co/Scicom-intl/HighRateMOS-VoiceMOS2025 (a mirror of the
          challenge's files). ``track3_obf.tar.gz``, the package of the training phase, is read too: train only.
Licence:  not stated; LibriTTS-R and Hi-Fi-CAPTAIN speech. Not downloaded by this program.
Size:     400 clips in train and dev (the same audio, rated in different tests), 400 in test; each 120 / 240 / 40 at 16 / 24 /
          48 kHz, 10 ratings each; 20 systems, a system being a rate and a method (``24k_originalSR``).
Rate:     16, 24 and 48 kHz; never resample it silently.
Layout:   ``post_eval_distro/wav/audiomos-track3-24k_originalSR_1089_134686_000015_000002.wav``
          ``post_eval_distro/{sysMap,uttMap}.txt``             ``name|code``; an id of the challenge is rate, method and
                                                               sentence as codes: ``audiomos-track3-24k_sys3_utt12``
          ``post_eval_distro/train/utt_{16k,24k,48k}.csv``     header ``uttID,lisID,rating``: three tests of one rate each
          ``post_eval_distro/val/utt_mix_val.csv``, ``test/utt_mix_test.csv``    the same: tests of all rates together
          ``track3_obf/DATA/{wav/,utt_{16k,24k,48k}.csv}``     the same with codes for names
          ``manifest.tsv`` has ``test_id``: a clip at 16 kHz is rated about 0.35 lower among others of 48 kHz than alone.
Citation: W.-C. Huang et al., "The AudioMOS Challenge 2025", ASRU 2025, arXiv 2509.01336.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="audiomos2025_track3",
    title="AudioMOS 2025 track 3: speech at 16, 24 and 48 kHz",
    source="https://huggingface.co/Scicom-intl/HighRateMOS-VoiceMOS2025 (track3_post_eval_distro.tar.gz)",
    licence="not stated; audio LibriTTS-R, Hi-Fi-CAPTAIN",
    clips={"train": 400, "dev": 400, "test": 400},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("wav/audiomos-track3-*.wav|DATA/wav/audiomos-track3-*.wav",),
    folders=("post_eval_distro", "track3_obf"),
    ids=r"(single/)?audiomos-track3-(16|24|48)k_sys\w+_utt\w+",
    challenge="audiomos2025_track3",
)
PREFIX = "audiomos-track3-"
RATES = ("16k", "24k", "48k")
SINGLE = "single"  # in front of the ids of train, for dev has the same audio


class Name(NamedTuple):
    """What a file is called: the id of the challenge, and the system in clear, where that is known."""

    code: str
    system: str


def read(root: Root) -> Sets:
    """Return train, dev and test of the whole release, or train alone of the package of the training phase."""
    if (root.path / "DATA").is_dir():
        tests = {rate: f"DATA/utt_{rate}.csv" for rate in RATES}
        root.notes.append("the package of the training phase has train only, with codes for the methods")
        return {"train": _read_tests(root, tests, "DATA/wav", _coded, f"{SINGLE}/")}
    name = _decoder(_read_codes(root, "sysMap.txt"), _read_codes(root, "uttMap.txt"))
    tests = {rate: f"train/utt_{rate}.csv" for rate in RATES}
    return {
        "train": _read_tests(root, tests, "wav", name, f"{SINGLE}/"),
        "dev": _read_tests(root, {"mixed_dev": "val/utt_mix_val.csv"}, "wav", name),
        "test": _read_tests(root, {"mixed_test": "test/utt_mix_test.csv"}, "wav", name),
    }


def _read_tests(root: Root, tests: dict[str, str], folder: str, name: Callable[[str], Name], part: str = "") -> list[Clip]:
    """Read the ratings of some listening tests; a listener is one in one test only."""
    ratings: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    for test, file in tests.items():
        for row in root.named(file, ("uttID", "lisID", "rating")):
            vote = (f"{test}-{row.text('lisID')}", "mos", row.number("rating"))
            ratings.setdefault((stem(row.text("uttID")), test), []).append(vote)
    clips = []
    for (file_name, test), votes in ratings.items():
        code, system = name(file_name)
        about = {"test_id": f"single_{test}" if part else test, "name": file_name}
        clips.append(Clip(part + code, f"{folder}/{file_name}.wav", {}, system, tuple(votes), about))
    return clips


def _coded(name: str) -> Name:
    return Name(name, "_".join(name.removeprefix(PREFIX).split("_")[:2]))


def _decoder(systems: dict[str, str], sentences: dict[str, str]) -> Callable[[str], Name]:
    """Return the function from a clear name to code and system. A method's name may begin with another's: longest first."""

    def decode(name: str) -> Name:
        rate, _, rest = name.removeprefix(PREFIX).partition("_")
        for method in sorted(systems, key=len, reverse=True):
            sentence = rest.removeprefix(f"{method}_")
            if sentence != rest and sentence in sentences:
                return Name(f"{PREFIX}{rate}_{systems[method]}_{sentences[sentence]}", f"{rate}_{method}")
        raise DataError(f"{CARD.name}: '{name}' has no method of sysMap.txt and sentence of uttMap.txt in it")

    return decode


def _read_codes(root: Root, file: str) -> dict[str, str]:
    return {row.text("name"): row.text("code") for row in root.table(file, ("name", "code"), header=False, delimiter="|")}
