"""The card of a trained model names its training data, its use and its licence."""

from pathlib import Path

from distilmos_plugin.corpora import card_of
from distilmos_plugin.corpora.mini import CARD
from distilmos_plugin.files import write_stamp
from distilmos_plugin.training.card import describe_training

from .material import write_corpus


def test_of_a_corpus_that_was_imported_the_importer_tells(tmp_path: Path):
    data = write_corpus(tmp_path / "anywhere" / "train")
    write_stamp(tmp_path / "anywhere", {"corpus": "mini", "seed": 0})
    assert card_of(data.path) == CARD
    about, sections = describe_training(data)
    assert about.startswith(f"Trained on anywhere/train ({CARD.title}), 12 clips; for speech like that.")
    assert about.endswith(f"Licence of the data: {CARD.licence}.")
    assert set(sections) == {"Training data", "Intended use", "Licence"}
    assert CARD.source in sections["Training data"]


def test_of_other_data_the_card_claims_nothing(tmp_path: Path):
    data = write_corpus(tmp_path / "own" / "train")
    assert card_of(data.path) is None
    about, _ = describe_training(data)
    assert about == (
        "Trained on own/train, 12 clips; for speech like that. Licence of the data: not recorded; ask whoever made the data."
    )
    write_stamp(tmp_path / "own", {"corpus": "unheard-of"})
    assert card_of(data.path) is None
