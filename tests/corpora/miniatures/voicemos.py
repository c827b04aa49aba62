"""The VoiceMOS Challenges."""

from __future__ import annotations

from pathlib import Path

from tests.corpora.miniatures.material import Miniature, write_lines, write_wav

BVCC = {  # set: (list, ratings, clips)
    "train": ("train", "TRAINSET", ("sys64e2f-utt9c183cd", "sys64e2f-utt0000001", "sysb2a4f-utt6d0bbc0")),
    "dev": ("val", "DEVSET", ("sysb2a4f-utta6d0bbc",)),
    "test": ("test", "TESTSET", ("sys00691-utt00e6ae6", "sys00691-utt00e6ae7")),
}


def bvcc(root: Path) -> None:
    """No headers; ids with .wav; the listener inside a composite string; two ratings a clip."""
    sets = root / "main" / "DATA" / "sets"
    for mean_list, rating_list, names in BVCC.values():
        write_lines(sets / f"{mean_list}_mos_list.txt", [f"{name}.wav,3.5" for name in names])
        info = ("{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No", "{}_na_QW0_Others_Valid_1_Yes")
        ratings = [
            f"{name.partition('-')[0]},{name}.wav,{3 + turn},VDP1ovyrBzg8_1,{who}"
            for name in names
            for turn, who in enumerate(info)
        ]
        write_lines(sets / rating_list, ratings)
        for name in names:
            write_wav(root / "main" / "DATA" / "wav" / f"{name}.wav")


MINIATURES = {
    "bvcc": Miniature(
        bvcc,
        clips={"train": 3, "dev": 1, "test": 2},
        systems={"train": 2, "dev": 1, "test": 1},
        labels=("main/DATA/sets/train_mos_list.txt", "main/DATA/sets/TESTSET"),
        wav="main/DATA/wav/sys64e2f-utt0000001.wav",
    ),
}
