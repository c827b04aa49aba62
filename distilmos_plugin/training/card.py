"""What a trained model's card says of its training data, its use and its licence."""

from __future__ import annotations

from distilmos_plugin.corpora import CORPORA, card_of, describe_labels, importer
from distilmos_plugin.corpora.card import Card
from distilmos_plugin.data.directory import DataDirectory

UNKNOWN = "not recorded; ask whoever made the data"


def _corpora(train: DataDirectory) -> list[Card]:
    """Return the cards of the corpora behind a training set: all of a pool's, or none where one is not known."""
    if train.domains is None:
        corpus = card_of(train.path)
        return [corpus] if corpus else []
    names = sorted(set(train.domains.values()))
    return [importer(name).CARD for name in names] if set(names) <= CORPORA.keys() else []


def describe_training(train: DataDirectory) -> tuple[str, dict[str, str]]:
    """Return one line for users of the model, and the sections of its card.

    What is known of a corpus is its importer's; of other data it is where they lay, and how many clips.
    """
    name, clips = f"{train.path.parent.name}/{train.path.name}", f"{len(train.keys)} clips"
    corpora = _corpora(train)
    what = f"{name} ({'; '.join(corpus.title for corpus in corpora)})" if corpora else name
    licence = "; ".join(dict.fromkeys(corpus.licence for corpus in corpora)) or UNKNOWN
    sections = {
        "Training data": f"{what}, {clips}." + "".join(f" Source: {corpus.source}." for corpus in corpora),
        "Intended use": "Speech like that of the training data, for comparisons within one test. Whether the scores hold for "
        "other speech, such as other languages, systems or distortions, has to be measured first.",
        "Licence": f"The data's: {licence}. The pre-trained upstream's licence holds for its share of the weights.",
    }
    if given := describe_labels(train.path):
        sections["Training data"] += f" {given}"
    return f"Trained on {what}, {clips}; for speech like that. Licence of the data: {licence}.", sections
