"""The AudioMOS Challenge 2025, the VoiceMOS Challenge 2026, and listening tests of other challenges."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpora.miniatures.material import Miniature, write_lines, write_wav


def audiomos2025_track1(root: Path) -> None:
    """Two labels a clip; stereo music at 44.1 kHz; names with .wav."""
    folder = root / "MusicEval-phase1"
    sets = {"train": ("S001_P020", "S008_P020"), "dev": ("S008_P021",)}
    for part, names in sets.items():
        full = [f"audiomos2025-track1-{name}" for name in names]
        write_lines(folder / "sets" / f"{part}_mos_list.txt", [f"{name}.wav,2.4,3.4" for name in full])
        for name in full:
            write_wav(folder / "wav" / f"{name}.wav", 44100, channels=2)
    write_lines(folder / "system_mos" / "system_mos_phase1.csv", ["S001,2.4,3.4", "S008,2.4,3.4"])


AXES = ("Production_Quality", "Production_Complexity", "Content_Enjoyment", "Content_Usefulness")


def audiomos2025_track2(root: Path) -> None:
    """Commas, quotes and blanks inside fields, minus signs inside ids, a placeholder in front of paths, a rating of 0."""
    folder = root / "audiomos2025_track2"
    paths = {
        "train": ("unbalanced/audio/-6FLs0P1KaQ_30000.wav", 'MUSDB18/train/A, B - "C"/bass.wav'),
        "dev": ("LibriTTS/19_227_000009.wav",),
    }
    for part, files in paths.items():
        rows = []
        for path in files:
            name = path.removesuffix(".wav").replace("/", "_")
            cells = [f"audiomos2025-track2-{name}", f"/your_path/{path}"]
            rows.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + ",5.0,3.3,2.9,4.2")
            write_wav(folder / path, 24000)
        header = f"sample_id,data_path,{','.join(AXES)}"
        write_lines(folder / f"audiomos2025-track2-{part}_list.csv", [header, *rows])
    truth = []
    for name in ("audiomos2025-track2-sys0v1wm-utt0dJodp", "audiomos2025-track2-sys1abcd-utt0dJodp"):
        truth.append(json.dumps({"data_path": name, **{axis: [0.0, 4.0, 8.0, 10.0] for axis in AXES}}))
        write_wav(root / "audiomos2025-track2-eval-phase" / "DATA" / "wav" / f"{name}.wav", 48000)
    write_lines(folder / "audiomos2025_track2_human_annotations.jsonl", truth)


def audiomos2025_track3(root: Path) -> None:
    """Three rates in one folder; listeners 01 of every test are others; a method whose name begins with another's."""
    folder = root / "post_eval_distro"
    first, second = "1089_134686_000015_000002", "F01-Seikatsu_0001"
    write_lines(folder / "sysMap.txt", ["originalSR|sys1", "nv|sys2", "nvSR|sys3"])
    write_lines(folder / "uttMap.txt", [f"{first}|utt1", f"{second}|utt2"])
    pool = {"16k": f"16k_nv_{first}", "24k": f"24k_nvSR_{first}", "48k": f"48k_originalSR_{first}"}
    for rate, name in pool.items():
        write_lines(folder / "train" / f"utt_{rate}.csv", _ratings([name]))
    evaluated = [f"24k_nvSR_{second}", f"48k_originalSR_{second}"]
    write_lines(folder / "val" / "utt_mix_val.csv", _ratings(list(pool.values())))
    write_lines(folder / "test" / "utt_mix_test.csv", _ratings(evaluated))
    for name in (*pool.values(), *evaluated):
        write_wav(folder / "wav" / f"audiomos-track3-{name}.wav", 1000 * int(name[:2]))


def _ratings(names: list[str]) -> list[str]:
    rows = [
        f"audiomos-track3-{name}.wav,{listener},{3 + turn}" for name in names for turn, listener in enumerate(("01", "02"))
    ]
    return ["uttID,lisID,rating", *rows]


def vmc2026_track1(root: Path) -> None:
    """Clips and pairs, without labels."""
    for name in ("acr_489", "acr_490", "ccr_7233_a", "ccr_7233_b"):
        path = root / "dev" / f"vmc2026-track1-dev-{name}.wav"
        write_wav(path, 44100 if name == "acr_490" else 16000)


def vmc2026_track2(root: Path) -> None:
    """Bars between fields, commas inside one, an empty rating."""
    folder = root / "vmc2026-track2"
    names = [f"vmc2026-track2-sys{number:03}-spk026-utt041" for number in (1, 2, 3)]
    write_lines(folder / "metadata.csv", [f"{name}.wav|Happy|What, now?" for name in names])
    rows = ["l1|{}.wav|4|Angry,Surprise|3|4|3|5", "l2|{}.wav|5|Happy|2|4|3|5", "l3|{}.wav|3|Happy|2|4||5"]
    table = [row.format(name) for name in names[:2] for row in rows]
    write_lines(folder / "sets" / "train.csv", ["lisID|wavID|qMOS|emoCat|eMOS|val|dom|aro", *table])
    write_lines(folder / "sets" / "dev.scp", [f"{names[2]}.wav"])
    for name in names:
        write_wav(folder / "wav" / f"{name}.wav")


def vmc2026_track3(root: Path) -> None:
    """Pairs: one recording compared with two others, and rated by two listeners."""
    a, b, c = (f"wav/vmc2026-track3-sys{system}.wav" for system in ("003-utt010", "019-utt009", "019-utt011"))
    rows = [
        f"sys003,utt010,{listener},{a},{other},{grade},2" for other in (b, c) for listener, grade in (("01", 3), ("02", 4))
    ]
    header = "system_id,utterance_id,listener_id,wav_a_path,wav_b_path,spk_sim,acc_sim"
    write_lines(root / "sets" / "train.csv", [header, *rows])
    write_lines(root / "sets" / "dev.csv", ["system_id,utterance_id,wav_a_path,wav_b_path", f"sys019,utt009,{b},{c}"])
    for path in (a, b, c):
        write_wav(root / path)


def tmhint_qi(root: Path) -> None:
    """The folder tells the set; a score is empty; a negative SNR."""
    folder = root / "TMHINTQI"
    rows = []
    for part, count in (("train", 10), ("test", 2)):
        for number in range(count):
            name = f"FCN_snr-2_babble_TMHINT_b1_{part}_{number:02}"
            write_wav(folder / part / f"{name}.wav")
            rows += [f"{len(rows)},FCN,b1,-2,babble,{grade},{8 if grade else ''},{name}" for grade in (3, 4, "")]
    header = "idx,method,uttr,snr,noise,quality_score,intelligibility_score,file_name"
    write_lines(folder / "raw_data.csv", [header, *rows])


def urgent2024(root: Path) -> None:
    """Rates and widths mixed; a table whose system repeats the id; lists inside a field."""
    rows = []
    for name, rate in (("fileid_1", 8000), ("fileid_2", 48000)):
        write_wav(root / "wavs" / f"{name}.wav", rate, subtype="FLOAT" if rate == 48000 else "PCM_16")
        rows.append(f'wavs/{name}.wav,{name},{name},{rate},3.5,"[3, 4, 3, 4]"')
    write_lines(root / "metadata.csv", ["wav_path,system_id,sample_id,sampling_rate,score,raw_ratings", *rows])


def vcc2018(root: Path) -> None:
    """Dev and test with one judge each, whose rating is not the truth; natural speech among the systems."""
    sets = {
        "training": ("N11_VCC2TF2_VCC2SF4_30003_SPO", "S00_VCC2TFX_VCC2SM1_30004_NAT"),
        "valid": ("N18_VCC2TF1_VCC2SF1_30034_HUB",),
        "testing": ("N06_VCC2TM1_VCC2SM4_30005_SPO", "N10_VCC2TM1_VCC2SM1_30006_HUB"),
    }
    for part, names in sets.items():
        judges = ("QMROADBMSL", "EPUXLATXNW") if part == "training" else ("NVGCMLQAYQ",)
        rows = [f"{name}.wav,3.25,{5 - turn},{judge}" for name in names for turn, judge in enumerate(judges)]
        write_lines(root / f"vcc2018_{part}_data.csv", ["WAV_PATH,MEAN,MOS,JUDGE", *rows])
        for name in names:
            write_wav(root / "wav" / f"{name}.wav", 22050)


def vcc2020(root: Path) -> None:
    """A table of the user's own."""
    rows = [f"T01_{name}.wav,T01,{judge},{grade}" for name in ("a", "b") for judge, grade in (("007", 3), ("008", 4))]
    write_lines(root / "scores.csv", ["file,team,judge,naturalness", *rows])
    for name in ("a", "b"):
        write_wav(root / "wav" / f"T01_{name}.wav", 24000)


def blizzard(root: Path) -> None:
    """System A of every year and task is another one; years with one list, and with one a task."""
    packs = {
        ("blizzard2009", ""): [f"A_EH1_conv_2009_{number:04}" for number in range(8)],
        ("blizzard2010", "_EH1"): [f"A_EH1_news_2010_{number:04}" for number in range(6)],
        ("blizzard2010", "_ES1"): [f"A_ES1_news_2010_{number:04}" for number in range(6)],
    }
    for (year, task), names in packs.items():
        write_lines(root / year / f"{year}_mos{task}.csv", [f"{name}.wav,3.2" for name in names])
        for name in names:
            write_wav(root / year / f"{year}_wavs{task}" / f"{name}.wav")


MINIATURES = {
    "audiomos2025_track1": Miniature(
        audiomos2025_track1,
        clips={"train": 2, "dev": 1},
        systems={"train": 2, "dev": 1},
        labels=("MusicEval-phase1/sets/train_mos_list.txt", "MusicEval-phase1/sets/dev_mos_list.txt"),
        wav="MusicEval-phase1/wav/audiomos2025-track1-S001_P020.wav",
    ),
    "audiomos2025_track2": Miniature(
        audiomos2025_track2,
        clips={"train": 2, "dev": 1, "test": 2},
        systems={"train": 0, "dev": 0, "test": 2},
        labels=(
            "audiomos2025_track2/audiomos2025-track2-dev_list.csv",
            "audiomos2025_track2/audiomos2025_track2_human_annotations.jsonl",
        ),
        wav="audiomos2025_track2/unbalanced/audio/-6FLs0P1KaQ_30000.wav",
    ),
    "audiomos2025_track3": Miniature(
        audiomos2025_track3,
        clips={"train": 3, "dev": 3, "test": 2},
        systems={"train": 3, "dev": 3, "test": 2},
        labels=("post_eval_distro/train/utt_24k.csv", "post_eval_distro/sysMap.txt", "post_eval_distro/test/utt_mix_test.csv"),
        wav="post_eval_distro/wav/audiomos-track3-24k_nvSR_F01-Seikatsu_0001.wav",
    ),
    "vmc2026_track1": Miniature(
        vmc2026_track1,
        clips={"dev": 4},
        systems={"dev": 0},
        labels=(),
        wav="dev/vmc2026-track1-dev-ccr_7233_b.wav",
    ),
    "vmc2026_track2": Miniature(
        vmc2026_track2,
        clips={"train": 2, "dev": 1},
        systems={"train": 2, "dev": 1},
        labels=("vmc2026-track2/sets/train.csv", "vmc2026-track2/sets/dev.scp"),
        wav="vmc2026-track2/wav/vmc2026-track2-sys001-spk026-utt041.wav",
    ),
    "vmc2026_track3": Miniature(
        vmc2026_track3,
        clips={"train": 2, "dev": 1},
        systems={"train": 1, "dev": 1},
        labels=("sets/train.csv", "sets/dev.csv"),
        wav="wav/vmc2026-track3-sys019-utt011.wav",
    ),
    "tmhint_qi": Miniature(
        tmhint_qi,
        clips={"train": 9, "dev": 1, "test": 2},
        systems={"train": 1, "dev": 1, "test": 1},
        labels=("TMHINTQI/raw_data.csv",),
        wav="TMHINTQI/train/FCN_snr-2_babble_TMHINT_b1_train_03.wav",
    ),
    "urgent2024": Miniature(
        urgent2024,
        clips={"test": 2},
        systems={"test": 0},
        labels=("metadata.csv",),
        wav="wavs/fileid_2.wav",
    ),
    "vcc2018": Miniature(
        vcc2018,
        clips={"train": 2, "dev": 1, "test": 2},
        systems={"train": 2, "dev": 1, "test": 2},
        labels=("vcc2018_valid_data.csv",),
        wav="wav/N10_VCC2TM1_VCC2SM1_30006_HUB.wav",
    ),
    "vcc2020": Miniature(
        vcc2020,
        clips={"test": 2},
        systems={"test": 1},
        labels=("scores.csv",),
        wav="wav/T01_b.wav",
        options={"labels": "scores.csv", "clip": "file", "score": "naturalness", "system": "team", "listener": "judge"},
    ),
    "blizzard": Miniature(
        blizzard,
        clips={"train": 16, "dev": 2, "test": 2},
        systems={"train": 3, "dev": 2, "test": 2},
        labels=("blizzard2009/blizzard2009_mos.csv", "blizzard2010/blizzard2010_mos_ES1.csv"),
        wav="blizzard2010/blizzard2010_wavs_EH1/A_EH1_news_2010_0003.wav",
    ),
}
