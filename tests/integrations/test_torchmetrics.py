"""The metric for torchmetrics: the scores of the command line, averaged over clips, systems and processes."""

import copy
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import distilmos_plugin
from distilmos_plugin.errors import ConfigError, DataError, DistilmosError
from distilmos_plugin.integrations.torchmetrics import DistilMOS
from tests.scoring.material import speech

RATE = 24_000  # Hz, so that resampling takes part
SYSTEMS = ("vits", "vits", "tacotron2", "fast speech 2", "vits")
ATOL = 1e-5  # to which scores are reproducible, whatever shares a batch


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """One thread: on clips so short more only wait for each other, badly so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clips() -> list[np.ndarray]:
    return [speech(0.6 + 0.2 * number, RATE, seed=number) * 10 ** (-number / 2) for number in range(len(SYSTEMS))]


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    predictor = distilmos_plugin.load("mini", device="cpu")
    return np.array([predictor.score(clip, RATE).mos for clip in clips()])


@pytest.fixture
def metric() -> DistilMOS:
    return DistilMOS("mini")


def test_the_mean_is_that_of_single_scores(metric, expected):
    metric.update(clips()[:2], RATE)
    metric.update(torch.from_numpy(clips()[2]), RATE)
    assert isinstance(metric.compute(), Tensor)
    assert metric.compute().item() == pytest.approx(expected[:3].mean(), abs=ATOL)


def test_systems_have_means_of_their_own(expected):
    metric = DistilMOS("mini", per_system=True)
    metric.update(clips(), RATE, systems=SYSTEMS)
    metric.update(clips()[:1], RATE)  # of no system
    means = {name: value.item() for name, value in metric.compute().items()}
    assert means == pytest.approx(
        {
            "mos": np.mean([*expected, expected[0]]),
            "mos/vits": expected[[0, 1, 4]].mean(),
            "mos/tacotron2": expected[2],
            "mos/fast speech 2": expected[3],
        },
        abs=ATOL,
    )


def test_a_padded_batch_is_cut_to_its_lengths(metric, expected):
    lengths = [len(clip) for clip in clips()]
    padded = torch.stack([torch.nn.functional.pad(torch.from_numpy(clip), (0, max(lengths) - len(clip))) for clip in clips()])
    metric.update(padded, RATE, lengths=torch.tensor(lengths))
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=ATOL)
    metric.reset()
    metric.update(padded[:, None], RATE, lengths=lengths)  # [batch, channels, samples]
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=ATOL)


def test_forward_gives_the_batch_and_keeps_the_epoch(metric, expected):
    assert metric(clips()[:2], RATE).item() == pytest.approx(expected[:2].mean(), abs=ATOL)
    assert metric(clips()[2:], RATE).item() == pytest.approx(expected[2:].mean(), abs=ATOL)
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=ATOL)
    metric.reset()
    assert metric(clips()[:1], RATE).item() == pytest.approx(expected[0], abs=ATOL)


def test_clips_without_a_score_do_not_count_and_are_told_of(metric, expected):
    metric.update([clips()[0], np.zeros(100, np.float32), np.full(RATE, np.nan, np.float32)], RATE)
    with pytest.warns(UserWarning, match=r"2 of 3 clips have no score and do not count: 1: 4\.2 ms"):
        mean = metric.compute()
    assert mean.item() == pytest.approx(expected[0], abs=ATOL)
    metric.reset()
    metric.update([np.zeros(100, np.float32)], RATE)
    with pytest.warns(UserWarning, match="1 of 1 clips"):
        assert metric.compute().isnan()


def test_the_model_is_nobody_elses_to_train_or_to_save(metric):
    metric.update(clips()[:1], RATE)
    assert not list(metric.parameters())
    assert not metric.state_dict()


def test_copies_share_the_model_and_other_processes_load_it(metric, expected):
    metric.update(clips()[:1], RATE)
    twin = copy.deepcopy(metric)
    twin.update(clips()[1:2], RATE)
    assert twin._model.predictor is metric._model.predictor
    assert twin.compute().item() == pytest.approx(expected[:2].mean(), abs=ATOL)
    assert len(pickle.dumps(metric)) < 20_000  # the name, not the weights
    assert pickle.loads(pickle.dumps(metric)).compute().item() == pytest.approx(expected[0], abs=ATOL)
    with pytest.raises(DistilmosError, match="needs the model's name"):
        pickle.dumps(DistilMOS(metric._model.predictor))


def test_wrong_calls_are_refused_in_words(metric):
    with pytest.raises(DataError, match="2 clips and 1 systems"):
        metric.update(clips()[:2], RATE, systems=["vits"])
    with pytest.raises(DataError, match="1 clips and 2 lengths"):
        metric.update(clips()[:1], RATE, lengths=[1, 2])
    with pytest.raises(ConfigError, match="'mso' is not one of mos, did you mean 'mos'"):
        DistilMOS("mini", target="mso").update(clips()[:1], RATE)


def run_process(rank: int, folder: str) -> None:
    """One of two processes: the first has three clips in two updates, the second two; then the second has none."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    metric = DistilMOS("mini", per_system=True)
    mine = [[0, 1], [2]] if rank == 0 else [[3, 4]]
    for chosen in mine:
        metric.update([clips()[i] for i in chosen], RATE, systems=[SYSTEMS[i] for i in chosen])
    if rank == 0:
        metric.update(np.zeros(100, np.float32), RATE, systems="vits")  # too short
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        both = {name: value.item() for name, value in metric.compute().items()}
    metric.reset()
    if rank == 0:
        metric.update(clips()[:1], RATE, systems="vits")
    alone = {name: value.item() for name, value in metric.compute().items()}
    warned = [str(warning.message) for warning in told if "have no score" in str(warning.message)]
    torch.save({"both": both, "alone": alone, "warned": warned}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_means_of_all_clips(tmp_path: Path, expected):
    # Forked where that is safe, as loading processes are: a fresh interpreter takes 6 s to import everything again.
    method = "fork" if sys.platform == "linux" else "spawn"
    torch.multiprocessing.start_processes(run_process, (str(tmp_path),), nprocs=2, start_method=method)
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    systems = {"mos/vits": expected[[0, 1, 4]].mean(), "mos/tacotron2": expected[2], "mos/fast speech 2": expected[3]}
    for result in results:
        assert result["both"] == pytest.approx({"mos": expected.mean(), **systems}, abs=ATOL)
        assert result["alone"] == pytest.approx({"mos": expected[0], "mos/vits": expected[0]}, abs=ATOL)
        assert "1 of 6 clips" in result["warned"][0]


def test_lightning_logs_it_over_a_validation_epoch(expected, tmp_path: Path):
    import lightning

    class Synthesiser(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.mos = DistilMOS("mini")

        def validation_step(self, batch: list[Tensor], _: int) -> None:
            self.mos.update(batch, RATE)
            self.log("valid_mos", self.mos, on_epoch=True, batch_size=len(batch))

    loader = torch.utils.data.DataLoader(clips(), batch_size=2, collate_fn=lambda batch: batch)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(default_root_dir=tmp_path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loading processes
        trainer.validate(Synthesiser(), loader, verbose=False)
    assert trainer.callback_metrics["valid_mos"].item() == pytest.approx(expected.mean(), abs=ATOL)
