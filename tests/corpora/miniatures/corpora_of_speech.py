"""SOMOS, NISQA, ConferencingSpeech 2022, CHiME-7 UDASE, TTSDS2, TCD-VoIP, SingMOS, QualiSpeech, BRSpeechMOS, HablaMOS."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.corpora.miniatures.material import Miniature, write_lines, write_wav

SOMOS = {  # set: (list, ratings, clips)
    "train": ("train", "TRAINSET", ("novel_2007_0098_015", "novel_2007_0098_000", "gen_2019_0001_115")),
    "dev": ("valid", "VALIDSET", ("booksent_2012_0005_015",)),
    "test": ("test", "TESTSET", ("conv_2000_0003_007", "conv_2000_0003_015")),
}


def somos(root: Path) -> None:
    """Headers; systems that look like numbers; two variants with other labels for the same audio."""
    for variant, first in (("clean", 4), ("full", 2)):
        folder = root / "training_files" / "split1" / variant
        for means, ratings, names in SOMOS.values():
            write_lines(
                folder / f"{means}_mos_list.txt", ["utteranceId,mean", *(f"{name}.wav,{first + 0.5}" for name in names)]
            )
            rows = [
                f"{name[-3:]},{name}.wav,{choice},{who}"
                for name in names
                for choice, who in ((first, "KEXM49572020611127"), (first + 1, "007"))
            ]
            write_lines(folder / ratings, ["systemId,utteranceId,choice,listenerId", *rows])
    for _, _, names in SOMOS.values():
        for name in names:
            write_wav(root / "audios" / f"{name}.wav", 24000)


NISQA = {  # part: names of clips, numbers of conditions
    "TRAIN_SIM": (("c00001_a", "c00002_a"), (1, 2)),
    "TRAIN_LIVE": (("c00001_a",), (1,)),
    "VAL_SIM": (("c00001_a",), (1,)),
    "VAL_LIVE": (("c00001_b",), (1,)),
    "TEST_FOR": (("c00001_for_cnv_m_0103_01", "c00002_for_cnv_m_0103_01"), (1, 2)),
    "TEST_P501": (("c00001_p501", "c00001_p501_b"), (1, 1)),
    "TEST_LIVETALK": (("c00001_live",), (1,)),
}


def nisqa(root: Path) -> None:
    """Read by name, with a comma inside quotes; names and numbers of conditions repeat in every part; 48 kHz, one stereo."""
    header = "db,con,file,con_description,filename_deg,filename_ref,source,lang,votes,mos,noi,col,dis,loud,noi_std,col_std,"
    header += "dis_std,loud_std,mos_std,filepath_deg,filepath_ref,filter"
    for part, (names, conditions) in NISQA.items():
        db = f"NISQA_{part}"
        rows = [header]
        for name, con in zip(names, conditions, strict=True):
            rows.append(
                f'{db},{con},1,"bandpass, 300 Hz",{name}.wav,,src,en,26,4.346153846,3.5,3.0,2.5,4.0,.5,.5,.5,.5,.797110165,'
                f"{db}/deg/{name}.wav,,"
            )
            write_wav(root / "NISQA_Corpus" / db / "deg" / f"{name}.wav", 48000, channels=1 + (part == "TRAIN_LIVE"))
        write_lines(root / "NISQA_Corpus" / db / f"{db}_file.csv", rows)


def tencent(root: Path) -> None:
    """A misspelt folder, CRLF, paths that begin with ./, stems that differ in their number of digits only."""
    folder = root / "TencentCorups"
    parts = {"withoutReverberationTrainDev": ("without", 5, 20), "withReverberationTrainDevMOS": ("with", 4, 10)}
    for audio, (what, digits, count) in parts.items():
        names = [f"{audio}/{number:0{digits}d}.wav" for number in range(count)]
        rows = [f"./{name},{1 + number / 10:.2f}" for number, name in enumerate(names)]
        write_lines(folder / f"{what}ReverberationTrainDevMOS.csv", ["deg_wav,mos", *rows], crlf=True)
        for name in names:
            write_wav(folder / name)


def pstn(root: Path) -> None:
    """8 kHz; ten clips that share what is in front of the first ``_``."""
    names = [f"test_{number:03d}_x.wav" for number in range(10)]
    rows = [f"{name},{1.5 + number / 5:.1f},0.7,0.2,{5 + number}" for number, name in enumerate(names)]
    write_lines(root / "pstn_train" / "pstn_train.csv", ["filename,MOS,std,95%CI,votes", *rows])
    for name in names:
        write_wav(root / "pstn_train" / name, 8000)


def chime7_udase(root: Path) -> None:
    """References in rows of their own, in both cases; the same name in every condition."""
    rows = ["sample,condition,MOS"]
    for condition in ("unprocessed", "C1", "ref", "Ref"):
        for sample in ("S01_P05_0.wav", "S21_P46_7.wav"):
            rows.append(f"{sample},{condition},3.25")
            write_wav(root / "listening_test" / "data" / condition / sample)
    write_lines(root / "listening_test" / "MOS_results_listening_test.csv", rows)


def ttsds2(root: Path) -> None:
    """Ratings of other kinds in the same table; the same name in the folder of every system; one rater twice."""
    rows = ["audio,dataset,system,rating_type,value,annotator,survey_part,page,id"]
    for dataset in ("clean", "wild"):
        for system in ("f5", "reference"):
            path = f"{dataset}/{system}/0001.wav"
            write_wav(root / path, 22050)
            rows += [f"{path},{dataset},{system},mos,{value},rater{value},1,2,3" for value in (3, 4)]
            rows += [f"{path},{dataset},{system},cmos,-2,rater3,1,2,3"]
    write_lines(root / "subjective_results.csv", [*rows, "clean/f5/0001.wav,clean,f5,mos,5,rater3,2,2,3"])


TCD = (  # name, ConditionID, mean of 24 opinions
    ("C_01_ECHO_FA", 1, 4.583333333),
    ("C_01_ECHO_FG", 1, 4.708333333),
    ("C_01_CHOP_FA", 1, 2.0),
    ("C_09_CLIP_MK", 3, 3.125),
    ("C_09_COMPSPKR_ML", 3, 3.0),
    ("C_02_NOISE_ML", 2, 1.041666667),
)
SHEET_XML = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}'
    "</sheetData></worksheet>"
)


def write_workbook(path: Path, sheet: str, rows: list[list[str | float]]) -> None:
    """Write a workbook of one sheet as Excel does: texts in a list of their own, numbers in the cells."""
    texts = list(dict.fromkeys(cell for row in rows for cell in row if isinstance(cell, str)))
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(
            f'<c r="{chr(65 + place)}{number}" t="s"><v>{texts.index(cell)}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{chr(65 + place)}{number}"><v>{cell}</v></c>'
            for place, cell in enumerate(row)
        )
        lines.append(f'<row r="{number}">{cells}</row>')
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook {main} xmlns:r="{office}"><sheets><sheet name="{sheet}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/sharedStrings.xml", f"<sst {main}>{''.join(f'<si><t>{text}</t></si>' for text in texts)}</sst>")
        archive.writestr("xl/worksheets/sheet1.xml", SHEET_XML.format("".join(lines)))


def tcd_voip(root: Path) -> None:
    """A workbook; ConditionID starts again in each type and is not always the number in the name; folders in lower case."""
    rows: list[list[str | float]] = [["Filename", "ConditionID", "sample MOS"]]
    rows += [[f"{name}.wav", condition, mean] for name, condition, mean in TCD]
    write_workbook(root / "TCD-VOIP" / "scores.xlsx", "Subjective Test Scores", rows)
    for name, _, _ in TCD:
        write_wav(root / "TCD-VOIP" / "Test_Set" / name.split("_")[2].lower() / f"{name}.wav", 48000)


def singmos(root: Path) -> None:
    """A split of the hub's version that the challenge did not have."""
    splits = {"sys0001-utt0001": "valid", "sys0001-utt0002": "train", "sys0002-utt0002": "train", "sys0001-utt0014": "eval_v1"}
    splits["sys0031-utt0001"] = "eval_v2"
    rows = [f"wav/{name}.wav,{name},3.4,{split}" for name, split in splits.items()]
    write_lines(root / "metadata.csv", ["file_name,utt_id,mos,split", *rows])
    for name in splits:
        write_wav(root / "wav" / f"{name}.wav")


def qualispeech(root: Path) -> None:
    """Column names with blanks; commas and line ends inside quotes; clips that another corpus has to bring."""
    header = "id,Speed,Naturalness,Background noise,Distortion,Listening effort,Continuity,Overall quality,Feeling of voice"
    sets = {"train": ("sys01tts-0000000", "sys01tts-0000001", "sys64e2f-utt9c183cd"), "val": ("sys02tts-0000000",)}
    for part, names in (sets | {"test": ("nisqa-c00001",)}).items():
        rows = [f'{name}.wav,2,5,5,4,5,5,3,"a young man, gentle"' for name in names]
        write_lines(root / f"{part}.csv", [header, *rows])
        for name in names:
            write_wav(root / "wav" / part / f"{name}.wav")


def brspeechmos(root: Path) -> None:
    """A byte order mark, paths that begin with ./, a float file."""
    rows = ["filepath,db,condition,mos,n"]
    for path, db, condition, mos in (
        ("tts/vits/0001.wav", "vits", "x", 3.2),
        ("tts/vits/0002.wav", "vits", "y", 3.0),
        ("gt/0001.wav", "ground_truth", "studio", 4.8),
    ):
        rows.append(f"./{path},{db},{condition},{mos},5")
        write_wav(root / "BRSPEECH_MOS_DATASET_v2" / path, 22050, subtype="FLOAT")
    write_lines(root / "BRSPEECH_MOS_DATASET_v2" / "test.csv", rows, bom=True)


HABLAMOS = {
    "train": (("audio88", "A3", (1.0, 2.5)), ("arm_08784_00974401258.wav_GL", "D8", (5.0,)), ("x.wav", "D8", (3.0,))),
    "val": (("sabrina_loquendo_44", "A4", (2.0,)),),
    "test": (("168", "A6", (2.0,)), ("110", "A6", (4.0,))),
}


def hablamos(root: Path) -> None:
    """CRLF; a system id that only repeats the clip; rows that repeat a clip; names that end twice; names like numbers."""
    for part, clips in HABLAMOS.items():
        rows = ["wav_path,system_id,sample_id,speaker_id,duration_ms,score"]
        for name, voice, scores in clips:
            rows += [f"{part}/{name}.wav,{name},{name},{voice},4353.6875,{score}" for score in scores]
            write_wav(root / "HablaMOS" / part / f"{name}.wav")
        write_lines(root / "HablaMOS" / f"{part}.csv", rows, crlf=True)


def table(root: Path) -> None:
    """SHEET's form: a row a rating; the audio under the folder."""
    rows = ["wav_path,system_id,sample_id,score,listener_id"]
    for number, (system, name) in enumerate((("015", "a"), ("015", "b"), ("x", "c"))):
        rows += [f"clips/{name}.wav,{system},{name},{1 + number + turn},{who}" for turn, who in enumerate(("kim", "007"))]
        write_wav(root / "clips" / f"{name}.wav", 44100)
    write_lines(root / "ratings.csv", rows)


MINIATURES = {
    "somos": Miniature(
        somos,
        clips={"train": 3, "dev": 1, "test": 2},
        systems={"train": 3, "dev": 1, "test": 2},
        labels=("training_files/split1/clean/valid_mos_list.txt", "training_files/split1/clean/TRAINSET"),
        wav="audios/novel_2007_0098_015.wav",
    ),
    "nisqa": Miniature(
        nisqa,
        clips={"train": 3, "dev": 2, "test_for": 2, "test_p501": 2, "test_livetalk": 1},
        systems={"train": 0, "dev": 0, "test_for": 2, "test_p501": 1, "test_livetalk": 1},
        labels=("NISQA_Corpus/NISQA_VAL_LIVE/NISQA_VAL_LIVE_file.csv",),
        wav="NISQA_Corpus/NISQA_TEST_P501/deg/c00001_p501.wav",
    ),
    "tencent": Miniature(
        tencent,
        clips={"train": 27, "dev": 3},
        systems={"train": 0, "dev": 0},
        labels=("TencentCorups/withReverberationTrainDevMOS.csv", "TencentCorups/withoutReverberationTrainDevMOS.csv"),
        wav="TencentCorups/withReverberationTrainDevMOS/0001.wav",
    ),
    "pstn": Miniature(
        pstn,
        clips={"train": 9, "dev": 1},
        systems={"train": 0, "dev": 0},
        labels=("pstn_train/pstn_train.csv",),
        wav="pstn_train/test_003_x.wav",
    ),
    "chime7_udase": Miniature(
        chime7_udase,
        clips={"test": 4},
        systems={"test": 2},
        labels=("listening_test/MOS_results_listening_test.csv",),
        wav="listening_test/data/C1/S01_P05_0.wav",
    ),
    "ttsds2": Miniature(
        ttsds2,
        clips={"test": 4},
        systems={"test": 4},
        labels=("subjective_results.csv",),
        wav="wild/f5/0001.wav",
    ),
    "tcd_voip": Miniature(
        tcd_voip,
        clips={"test": 6},
        systems={"test": 5},
        labels=(),  # the workbook's name is not known, so its sentence cannot name it: test_label_readers.py
        wav="TCD-VOIP/Test_Set/echo/C_01_ECHO_FA.wav",
    ),
    "singmos": Miniature(
        singmos,
        clips={"train": 2, "dev": 1, "test": 1, "test_eval_v2": 1},
        systems={"train": 2, "dev": 1, "test": 1, "test_eval_v2": 1},
        labels=("metadata.csv",),
        wav="wav/sys0002-utt0002.wav",
    ),
    "qualispeech": Miniature(
        qualispeech,
        clips={"train": 3, "dev": 1, "test": 1},
        systems={"train": 2, "dev": 1, "test": 1},
        labels=("train.csv", "val.csv", "test.csv"),
        wav="wav/train/sys64e2f-utt9c183cd.wav",
    ),
    "brspeechmos": Miniature(
        brspeechmos,
        clips={"test": 3},
        systems={"test": 2},
        labels=("BRSPEECH_MOS_DATASET_v2/test.csv",),
        wav="BRSPEECH_MOS_DATASET_v2/gt/0001.wav",
    ),
    "hablamos": Miniature(
        hablamos,
        clips={"train": 3, "dev": 1, "test": 2},
        systems={"train": 2, "dev": 1, "test": 1},
        labels=("HablaMOS/train.csv", "HablaMOS/test.csv"),
        wav="HablaMOS/train/x.wav.wav",
    ),
    "table": Miniature(
        table,
        clips={"test": 3},
        systems={"test": 2},
        labels=("ratings.csv",),
        wav="clips/b.wav",
        options={"table": "ratings.csv"},
    ),
}
