"""The loop over utterances."""

import json
import os

import kaldiio

from versa.definition import MetricRegistry, MetricSuite
from versa.utils_shared import load_audio, wav_normalize


def audio_loader_setup(audio, io):
    if io == "kaldi":
        return kaldiio.load_scp(audio)
    if io == "dir":
        return {name: os.path.join(audio, name) for name in sorted(os.listdir(audio))}
    with open(audio) as file:
        return dict(line.split(maxsplit=1) for line in file.read().splitlines())


def _create_populated_registry():
    return MetricRegistry()


class VersaScorer:
    def __init__(self, registry=None):
        self.registry = registry or _create_populated_registry()

    def load_metrics(self, score_config, use_gt=True, use_gt_text=False, use_gpu=False):
        items = {item["name"]: {**item, "use_gpu": use_gpu} for item in score_config}
        return MetricSuite({name: self.registry.get_metric(name)(item) for name, item in items.items()})

    def score_utterances(
        self,
        gen_files,
        metric_suite,
        gt_files=None,
        text_info=None,
        output_file=None,
        io="kaldi",
        batch_size=1,
        resume=False,
    ):
        rows = []
        if resume and output_file and os.path.exists(output_file):
            with open(output_file) as file:
                rows = [json.loads(line) for line in file]
        completed = {row["key"] for row in rows}
        for key in gen_files:
            if key in completed:
                continue
            rate, samples = load_audio(gen_files[key], io)
            samples = wav_normalize(samples)
            if not len(samples) or (samples == samples[0]).all():
                continue
            row = {"key": key}
            for metric in metric_suite.metrics.values():
                row |= metric.compute(samples, None, {"key": key, "sample_rate": rate, "text": None, "general_cache": {}})
            rows.append(row)
        if output_file:
            with open(output_file, "w") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        return rows

    def score_utterances_by_metric(self, gen_files, score_config, output_file=None, io="kaldi", use_gpu=False):
        rows = {key: {"key": key} for key in gen_files}
        for item in score_config:
            for row in self.score_utterances(gen_files, self.load_metrics([item], use_gpu=use_gpu), io=io):
                rows[row["key"]] |= row
        return list(rows.values())
