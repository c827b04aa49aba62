"""The VoiceMOS Challenges of 2022, 2023 and 2024."""

from __future__ import annotations

from pathlib import Path

from tests.corpora.miniatures.material import Miniature, write_lines, write_wav

LISTS = {"train": ("train", "TRAINSET"), "dev": ("val", "DEVSET"), "test": ("test", "TESTSET")}
BVCC = {
    "train": ("sys64e2f-utt9c183cd", "sys64e2f-utt0000001", "sysb2a4f-utt6d0bbc0"),
    "dev": ("sysb2a4f-utta6d0bbc",),
    "test": ("sys00691-utt00e6ae6", "sys00691-utt00e6ae7"),
}
SILENT = "sys64e2f-utt0000001"  # BVCC has one such file
BVCC_LISTENERS = ("{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No", "{}_na_QW0_Others_Valid_1_Yes")
BC19_LISTENERS = ("{}_na_17_na_na_na_EE", "{}_na_4_na_na_na_ER")


def bvcc(root: Path) -> None:
    """No headers; ids with .wav; the listener inside a composite string; two ratings a clip."""
    listening_test(root / "main" / "DATA", BVCC_LISTENERS, suffix=".wav")


def bc19(root: Path) -> None:
    """As BVCC, but ids without .wav, a list of clips without labels, and not at 16 kHz."""
    data = root / "ood" / "DATA"
    listening_test(data, BC19_LISTENERS, suffix="", rate=24000)
    write_lines(data / "sets" / "unlabeled_mos_list.txt", ["sys11111-utt1111111.wav", ""])
    write_wav(data / "wav" / "sys11111-utt1111111.wav", 24000)


def listening_test(data: Path, listeners: tuple[str, ...], suffix: str, rate: int = 16000) -> None:
    for part, (mean_list, rating_list) in LISTS.items():
        write_lines(data / "sets" / f"{mean_list}_mos_list.txt", [f"{name}{suffix},3.5" for name in BVCC[part]])
        ratings = [
            f"{name.partition('-')[0]},{name}{suffix},{3 + turn},VDP1ovyrBzg8_1,{who}"
            for name in BVCC[part]
            for turn, who in enumerate(listeners)
        ]
        write_lines(data / "sets" / rating_list, ratings)
        for name in BVCC[part]:
            write_wav(data / "wav" / f"{name}.wav", rate, silent=name == SILENT)


TRACK1 = {"A-AD_test_0026": 4.42105263157895, "BF-AD_test_0027": 2.25, "A-NEB_test_0001": 4.0}
TRACK2 = ("B01-SF1-CDF1-30001", "T10-SM1-IDM1-30002", "SOU-SF1-SF1-30001", "TAR-IDM1-IDM1-30020")
TRACK3 = (
    "CMGAN_snr-2_babble_TMHINT_b2_21_02",
    "Trans_snr5_street_TMHINT_g4_32_03",
    "clean_TMHINT_b1_01_03",
    "TMHINT_b1_01_03",
)


def vmc2023_track1(root: Path) -> None:
    """A flat folder of wavs at 22.05 kHz, and labels of both tasks in one file beside it."""
    names = {f"VoiceMOS2023Track1-{name}": mos for name, mos in TRACK1.items()}
    write_lines(root / "track1_answer.txt", [f"{name},{mos}" for name, mos in names.items()])
    for name in names:
        write_wav(root / "VoiceMOS2023Track1" / f"{name}.wav", 22050)


def vmc2023_track2(root: Path) -> None:
    """Sources and targets among the systems; single ratings in a file of their own."""
    names = [f"VoiceMOS2023Track2-{name}" for name in TRACK2]
    write_lines(root / "track2_answer.txt", [f"{name},2.857142857142857" for name in names])
    rows = [f"{name},{listener},3" for name in names for listener in ("21eKjJbGKOBq", "001")]
    write_lines(root / "listener_wise_answer.csv", ["sample_id,listener_name,score", *rows])
    for name in names:
        write_wav(root / "VoiceMOS_2023_track2" / f"{name}.wav", 24000)


def vmc2023_track3(root: Path) -> None:
    """A negative SNR in an id, and clean recordings without a system."""
    names = [f"VoiceMOS2023Track3-{name}" for name in TRACK3]
    write_lines(root / "track3_answer.txt", [f"{name},1.1428571428571428" for name in names])
    for name in names:
        write_wav(root / "VoiceMOS_2023_track3" / f"{name}.wav")


def vmc2024_track1(root: Path) -> None:
    """Lists of names without labels, over the audio of BVCC, and the stand-in labels as they are published."""
    names = [name for part in BVCC.values() for name in part]
    write_lines(root / "main/DATA/sets/val_list.txt", [f"{names[0]}.wav"])
    write_lines(root / "voicemos2024-track1-eval-phase/DATA/sets/eval_list.txt", [f"{name}.wav" for name in names[1:3]])
    for name in names:
        write_wav(root / "main" / "DATA" / "wav" / f"{name}.wav")
    rows = [
        f"{name.partition('-')[0]}/{name}.wav 3.375000 0.886734 (1:0,2:2,3:2,4:3,5:1,total: 8)"
        for name in (names[1], names[4])
    ]
    write_lines(root / "VMC2024_MOS", rows)


def vmc2024_track2(root: Path) -> None:
    """No .wav in the lists."""
    sets = {"train": ("sys0001-utt0001", "sys0002-utt0001"), "val": ("sys0001-utt0002",), "eval": ("sys0003-utt0001",)}
    for part, names in sets.items():
        full = [f"voicemos2024-track2-{name}" for name in names]
        write_lines(root / "DATA" / "sets" / f"{part}_mos_list.txt", [f"{name},4.000000" for name in full])
        for name in full:
            write_wav(root / "DATA" / "wav" / f"{name}.wav")


def vmc2024_track3(root: Path) -> None:
    """CRLF, and a byte order mark in one of the two tables; three targets."""
    names = ("p232_sys1_005", "p257_sys2_044")
    rows = [f"{name},3.75,3.5,3.25" for name in names]
    write_lines(root / "track3_answer.csv", ["systems,SIG,BAK,OVR", *rows], crlf=True)
    votes = [f"{name},3,4,{grade},listener-{grade}-F-20-30" for name in names for grade in (3, 4)]
    header = "sample_id,sig,bak,ovr,listener"
    write_lines(root / "track3_listener_wise_answer.csv", [header, *votes], bom=True, crlf=True)
    for name in names:
        write_wav(root / "voicemos2024-track3-eval-phase/DATA/wav" / f"voicemos2024-track3-{name}.wav")


MINIATURES = {
    "bvcc": Miniature(
        bvcc,
        clips={"train": 3, "dev": 1, "test": 2},
        systems={"train": 2, "dev": 1, "test": 1},
        labels=("main/DATA/sets/train_mos_list.txt", "main/DATA/sets/TESTSET"),
        wav="main/DATA/wav/sys64e2f-utt0000001.wav",
    ),
    "bc19": Miniature(
        bc19,
        clips={"train": 3, "dev": 1, "test": 2, "unlabelled": 1},
        systems={"train": 2, "dev": 1, "test": 1, "unlabelled": 1},
        labels=("ood/DATA/sets/val_mos_list.txt", "ood/DATA/sets/unlabeled_mos_list.txt"),
        wav="ood/DATA/wav/sys64e2f-utt0000001.wav",
    ),
    "vmc2023_track1": Miniature(
        vmc2023_track1,
        clips={"test_1a": 1, "test_1b": 2},
        systems={"test_1a": 1, "test_1b": 2},
        labels=("track1_answer.txt",),
        wav="VoiceMOS2023Track1/VoiceMOS2023Track1-A-AD_test_0026.wav",
    ),
    "vmc2023_track2": Miniature(
        vmc2023_track2,
        clips={"test": 4},
        systems={"test": 4},
        labels=("track2_answer.txt",),
        wav="VoiceMOS_2023_track2/VoiceMOS2023Track2-T10-SM1-IDM1-30002.wav",
    ),
    "vmc2023_track3": Miniature(
        vmc2023_track3,
        clips={"test": 3, "unscored": 1},
        systems={"test": 3, "unscored": 1},
        labels=("track3_answer.txt",),
        wav="VoiceMOS_2023_track3/VoiceMOS2023Track3-clean_TMHINT_b1_01_03.wav",
    ),
    "vmc2024_track1": Miniature(
        vmc2024_track1,
        clips={"dev": 1, "test": 2},
        systems={"dev": 1, "test": 2},
        labels=("voicemos2024-track1-eval-phase/DATA/sets/eval_list.txt",),
        wav="main/DATA/wav/sys64e2f-utt0000001.wav",
    ),
    "vmc2024_track2": Miniature(
        vmc2024_track2,
        clips={"train": 2, "dev": 1, "test": 1},
        systems={"train": 2, "dev": 1, "test": 1},
        labels=("DATA/sets/train_mos_list.txt", "DATA/sets/eval_mos_list.txt"),
        wav="DATA/wav/voicemos2024-track2-sys0002-utt0001.wav",
    ),
    "vmc2024_track3": Miniature(
        vmc2024_track3,
        clips={"test": 2},
        systems={"test": 2},
        labels=("track3_answer.csv",),
        wav="voicemos2024-track3-eval-phase/DATA/wav/voicemos2024-track3-p257_sys2_044.wav",
    ),
}
