"""Measure what the layers of ``tiny`` know, against a randomly initialised twin and MFCC, on voices that it never heard.

    python egs/mini/local/probe_tiny.py --tiny distilmos_plugin/upstreams/assets/tiny.pt --page docs/upstreams.md

Speech and phone labels come from espeak-ng: ten languages, four of them held out of pre-training, spoken by variants that were
held out too. Everything is fitted on one half of those variants and measured on the other half, on other sentences:

- *purity* and *PNMI* of 100 k-means clusters against phones (HuBERT, Hsu et al. 2021): the share of frames whose phone is the
  most frequent one of their cluster, and the share of the phones' entropy that the cluster removes;
- *phone accuracy* of a linear classifier, per frame, for the six languages of pre-training and for the four new ones;
- *SNR correlation*: linear regression of the signal-to-noise ratio of a noisy clip from the mean and deviation of its frames.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import tiny_degrade
import tiny_model
import tiny_speech
import tiny_text
import torch
from torch import Tensor

from distilmos_plugin.corpora.simulation import espeak
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import track

KNOWN_LANGUAGES = ("en-us", "de", "fr", "es", "it", "ru")
NEW_LANGUAGES = tiny_speech.HELD_OUT_LANGUAGES
UTTERANCES = 5  # of each language and variant
CLUSTERS = 100
PHONES = 60  # the most frequent ones of the fitting half; frames of rarer ones are left out
CLASSIFIER_STEPS, CLASSIFIER_RATE, CLASSIFIER_DECAY = 400, 0.02, 1e-4
SNRS = (-5.0, 40.0)  # dB
RIDGE = 10.0
BEGIN, END = "<!-- probe_tiny.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Utterance:
    """Synthetic speech with a phone for each frame.

    Attributes:
        waveform: float32 [time] at 16 kHz.
        noisy: the same with noise.
        snr: dB, of ``noisy``.
        phones: [frames]; "" in pauses.
        new_language: the language was not in the pre-training.
    """

    waveform: Tensor
    noisy: Tensor
    snr: float
    phones: list[str]
    new_language: bool


def utterances(variants: tuple[str, ...], seed: int) -> Iterator[Utterance]:
    """Yield UTTERANCES of each language and variant."""
    for language in (*KNOWN_LANGUAGES, *NEW_LANGUAGES):
        for variant in variants:
            for number in range(UTTERANCES):
                key = [seed, *language.encode(), *variant.encode(), number]
                yield _utterance(language, variant, np.random.default_rng(key))


def _utterance(language: str, variant: str, rng: np.random.Generator) -> Utterance:
    text = tiny_text.sentence(language, 9, rng)
    speech = espeak.synthesize(text, f"{language}+{variant}", int(rng.integers(140, 210)), int(rng.integers(30, 70)))
    clean = soxr.resample(speech.samples, speech.sample_rate, tiny_model.SAMPLE_RATE, "HQ")
    frames = (len(clean) - tiny_model.WINDOW) // tiny_model.HOP + 1
    middles = (np.arange(frames) * tiny_model.HOP + tiny_model.WINDOW / 2) / tiny_model.SAMPLE_RATE
    places = np.searchsorted([end for _, end, _ in speech.phones], middles)
    phones = [speech.phones[min(place, len(speech.phones) - 1)][2].replace("ː", "") for place in places]
    snr = float(rng.uniform(*SNRS))
    noise = tiny_degrade.coloured_noise(len(clean), rng.choice([0.0, 1.0, 2.0]), rng)
    gain = np.sqrt(tiny_degrade.power(clean) / tiny_degrade.power(noise) * 10 ** (-snr / 10))
    noisy = (clean + gain * noise).astype(np.float32)
    return Utterance(torch.from_numpy(clean), torch.from_numpy(noisy), snr, phones, language in NEW_LANGUAGES)


@dataclass
class Features:
    """One representation of all utterances of one half."""

    frames: Tensor  # [frames, dim] of clean speech
    clips: Tensor  # [utterances, 2 dim], mean and deviation over the noisy clip


def extract(represent: Callable[[Tensor], list[Tensor]], spoken: list[Utterance], name: str) -> list[Features]:
    """Return the features of every layer of one representation."""
    clean, noisy = [], []
    for utterance in track(spoken, name):
        clean.append([layer[0] for layer in represent(utterance.waveform[None])])
        noisy.append([torch.cat([layer[0].mean(0), layer[0].std(0)]) for layer in represent(utterance.noisy[None])])
    return [
        Features(torch.cat(a), torch.stack(b)) for a, b in zip(zip(*clean, strict=True), zip(*noisy, strict=True), strict=True)
    ]


@dataclass(frozen=True)
class Labels:
    """Phone ids [frames] of one half, -1 where a frame is left out, and whether its language is new."""

    phones: Tensor
    new: Tensor

    @classmethod
    def of(cls, spoken: list[Utterance], classes: list[str]) -> Labels:
        ids = {phone: index for index, phone in enumerate(classes)}
        phones = [ids.get(phone, -1) for utterance in spoken for phone in utterance.phones]
        new = [utterance.new_language for utterance in spoken for _ in utterance.phones]
        return cls(torch.tensor(phones), torch.tensor(new))


def cluster_scores(fitted: Features, fitted_labels: Labels, tested: Features, tested_labels: Labels) -> tuple[float, float]:
    """Return (purity, PNMI) of clusters fitted on one half and counted on the other."""
    chosen = fitted.frames[fitted_labels.phones >= 0]
    centroids, mean, deviation = tiny_model.fit_kmeans(chosen, CLUSTERS, seed=0)
    keep = tested_labels.phones >= 0
    clusters = tiny_model.nearest_code((tested.frames[keep] - mean) / deviation, centroids)
    joint = torch.zeros(CLUSTERS, PHONES, dtype=torch.float64)
    joint.index_put_((clusters, tested_labels.phones[keep]), torch.ones(int(keep.sum()), dtype=torch.float64), accumulate=True)
    joint /= joint.sum()
    phone, cluster = joint.sum(0), joint.sum(1)
    entropy = -(phone * phone.clamp(min=1e-12).log()).sum()
    information = (joint * (joint.clamp(min=1e-12) / (cluster[:, None] * phone[None]).clamp(min=1e-12)).log()).sum()
    return float(joint.max(1).values.sum()), float(information / entropy)


def phone_accuracy(fitted: Features, fitted_labels: Labels, tested: Features, tested_labels: Labels) -> tuple[float, float]:
    """Return frame accuracy of a linear classifier in (known, new) languages."""
    keep = fitted_labels.phones >= 0
    mean, deviation = fitted.frames[keep].mean(0), fitted.frames[keep].std(0) + 1e-6
    points, labels = (fitted.frames[keep] - mean) / deviation, fitted_labels.phones[keep]
    generator = torch.Generator().manual_seed(0)
    weight = torch.zeros(points.shape[1], PHONES, requires_grad=True)
    bias = torch.zeros(PHONES, requires_grad=True)
    optimiser = torch.optim.AdamW([weight, bias], CLASSIFIER_RATE, weight_decay=CLASSIFIER_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, CLASSIFIER_STEPS)
    for _ in range(CLASSIFIER_STEPS):
        batch = torch.randint(len(points), (4096,), generator=generator)
        loss = torch.nn.functional.cross_entropy(points[batch] @ weight + bias, labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        right = ((tested.frames - mean) / deviation @ weight + bias).argmax(1) == tested_labels.phones
    valid = tested_labels.phones >= 0
    known, new = valid & ~tested_labels.new, valid & tested_labels.new
    return float(right[known].float().mean()), float(right[new].float().mean())


def snr_correlation(fitted: Features, fitted_snr: Tensor, tested: Features, tested_snr: Tensor) -> float:
    """Return the correlation of the true SNR with a ridge regression from whole clips."""
    mean, deviation = fitted.clips.mean(0), fitted.clips.std(0) + 1e-6
    points = ((fitted.clips - mean) / deviation).double()
    target = (fitted_snr - fitted_snr.mean()).double()
    weight = torch.linalg.solve(points.T @ points + RIDGE * torch.eye(points.shape[1], dtype=torch.float64), points.T @ target)
    predicted = ((tested.clips - mean) / deviation).double() @ weight
    return float(np.corrcoef(predicted, tested_snr)[0, 1])


@dataclass(frozen=True)
class Half:
    """Utterances of one half of the held-out variants."""

    variants: tuple[str, ...]
    spoken: list[Utterance]

    @property
    def snr(self) -> Tensor:
        return torch.tensor([utterance.snr for utterance in self.spoken])


def table(path: Path, seed: int) -> str:
    """Return the Markdown table, under a line that says what it was measured on."""
    middle = len(tiny_speech.HELD_OUT_VARIANTS) // 2
    variants = tiny_speech.HELD_OUT_VARIANTS[:middle], tiny_speech.HELD_OUT_VARIANTS[middle:]
    fit, test = (Half(part, list(utterances(part, seed + number))) for number, part in enumerate(variants))
    counts = Counter(phone for utterance in fit.spoken for phone in utterance.phones if phone)
    classes = [phone for phone, _ in counts.most_common(PHONES)]
    labels = Labels.of(fit.spoken, classes), Labels.of(test.spoken, classes)
    lines = [
        f"Fitted on {int((labels[0].phones >= 0).sum()):,} frames of the variants {', '.join(fit.variants)}; measured on "
        f"{int((labels[1].phones >= 0).sum()):,} frames of {', '.join(test.variants)}. {PHONES} phones, pauses left out, "
        f"seed {seed}. The most frequent phone has {100 * max(counts.values()) / sum(counts.values()):.1f} % of the frames.",
        "",
        "| representation | layer | purity % | PNMI % | phone accuracy % | in new languages % | SNR correlation |",
        "|---|---|---|---|---|---|---|",
    ]
    tiny, twin = tiny_model.load_wavlm(path).eval(), tiny_model.build_wavlm(seed).eval()
    representations = {
        "MFCC": lambda waveforms: [tiny_model.mfcc(waveforms)],
        "random twin": lambda waveforms: tiny_model.all_hidden_states(twin, waveforms),
        "tiny": lambda waveforms: tiny_model.all_hidden_states(tiny, waveforms),
    }
    for name, represent in representations.items():
        lines += rows(name, represent, fit, test, labels)
    return "\n".join(lines)


def rows(
    name: str, represent: Callable[[Tensor], list[Tensor]], fit: Half, test: Half, labels: tuple[Labels, Labels]
) -> Iterator[str]:
    """Yield the table's row of each layer of one representation."""
    with torch.no_grad():
        fitted, tested = extract(represent, fit.spoken, name), extract(represent, test.spoken, name)
    for layer, (known, heard) in enumerate(zip(fitted, tested, strict=True)):
        shares = *cluster_scores(known, labels[0], heard, labels[1]), *phone_accuracy(known, labels[0], heard, labels[1])
        correlation = snr_correlation(known, fit.snr, heard, test.snr)
        number = layer if len(fitted) > 1 else ""
        yield f"| {name} | {number} | {' | '.join(f'{100 * share:.1f}' for share in shares)} | {correlation:.3f} |"


def write_into(page: Path, text: str) -> None:
    """Put ``text`` between the two marks of ``page``."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{page} has no lines {BEGIN!r} and {END!r} to write between")
    with atomic_write(page) as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    """Print the table, and write it into a page if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tiny", type=Path, required=True, help="the file that pretrain_tiny.py wrote")
    parser.add_argument("--page", type=Path, help="Markdown page to write the table into, between its two marks")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    text = table(options.tiny, options.seed)
    print(text)
    if options.page:
        write_into(options.page, text)


if __name__ == "__main__":
    main()
