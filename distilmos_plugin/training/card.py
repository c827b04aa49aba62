"""What a trained model's card says of its training data, its use and its licence."""

from __future__ import annotations

from distilmos_plugin.corpora import card_of, describe_labels
from distilmos_plugin.data.directory import DataDirectory

UNKNOWN = "not recorded; ask whoever made the data"


def describe_training(train: DataDirectory) -> tuple[str, dict[str, str]]:
    """Return one line for users of the model, and the sections of its card.

    What is known of a corpus is its importer's; of other data it is where they lay, and how many clips.
    """
    name, clips = f"{train.path.parent.name}/{train.path.name}", f"{len(train.keys)} clips"
    corpus = card_of(train.path)
    what = f"{name} ({corpus.title})" if corpus else name
    licence = corpus.licence if corpus else UNKNOWN
    sections = {
        "Training data": f"{what}, {clips}." + (f" Source: {corpus.source}." if corpus else ""),
        "Intended use": "Speech like that of the training data, for comparisons within one test. Whether the scores hold for "
        "other speech, such as other languages, systems or distortions, has to be measured first.",
        "Licence": f"The data's: {licence}. The pre-trained upstream's licence holds for its share of the weights.",
    }
    if given := describe_labels(train.path):
        sections["Training data"] += f" {given}"
    return f"Trained on {what}, {clips}; for speech like that. Licence of the data: {licence}.", sections
