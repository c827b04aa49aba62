"""The task that ESPnet runs: model, optimiser and batches of one experiment. Imports ESPnet."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.tasks.abs_task import AbsTask
from espnet2.utils.nested_dict_action import NestedDictAction

from distilmos_plugin.config import Config
from distilmos_plugin.integrations.espnet_model import ESPnetMOS, SealedBatch, load_strictly
from distilmos_plugin.integrations.espnet_trainer import CONFIG, MERIT, Batches, Course, MOSTrainer
from distilmos_plugin.models import build_model
from distilmos_plugin.training.loop import EpochBatches
from distilmos_plugin.training.optimisation import freeze, make_optimiser
from distilmos_plugin.training.preparation import Preparation
from distilmos_plugin.typed_yaml import parse, to_dict
from distilmos_plugin.upstreams.upstream import load_upstream


def run(preparation: Preparation, gpu: bool) -> None:
    """Train in this process, one of those that ``torchrun`` started or the only one; the first releases the model."""
    processes = Processes()
    course = Course(preparation, processes)
    # Classes of their own for the run: ESPnet's tasks and trainers are never instances.
    trainer = type("MOSTrainer", (MOSTrainer,), {"course": course})
    task = type("MOSTask", (MOSTask,), {"course": course, "trainer": trainer})
    task.main(_options(task.get_parser(), course, gpu))
    if processes.is_global_zero:
        course.release()
    if processes.world_size > 1:
        processes.barrier()
        torch.distributed.destroy_process_group()


def _options(parser: argparse.ArgumentParser, course: Course, gpu: bool) -> argparse.Namespace:
    """Return ESPnet's options for the experiment."""
    preparation, config = course.preparation, course.config
    options = parser.parse_args([])
    vars(options).update(
        mos_conf=to_dict(config),
        heads_conf={
            "num_listeners": preparation.num_listeners,
            "num_domains": len(preparation.domains),
            **preparation.token_heads,
        },
        upstream_digest=course.upstream_digest(),
        output_dir=str(course.folder),
        resume=True,
        ngpu=int(gpu),
        dist_backend="nccl" if gpu else "gloo",
        seed=config.seed,
        max_epoch=config.max_epoch,
        patience=None if config.patience is None else config.patience - 1,  # ESPnet stops after one epoch more
        early_stopping_criterion=("valid", MERIT, "max"),
        best_model_criterion=[("valid", MERIT, "max")],
        keep_nbest_models=[config.keep_nbest_models],
        accum_grad=config.accum_grad,
        grad_clip=config.grad_clip or float("inf"),
        use_matplotlib=False,
        use_tensorboard=False,
        num_att_plot=0,
    )
    if not gpu:
        options.local_rank = 0  # else ESPnet looks for LOCAL_RANK in CUDA_VISIBLE_DEVICES, also where no GPU is wanted
    return options


class MOSTask(AbsTask):
    """Training of a MOS predictor as an ESPnet task, bound to a run by the attribute ``course``.

    The option ``mos_conf`` is the whole configuration; ESPnet's own options follow from it.
    """

    course: Course

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--mos_conf", action=NestedDictAction, default={}, help="The configuration, as in conf/*.yaml.")
        parser.add_argument("--heads_conf", action=NestedDictAction, default={}, help="Sizes that follow from the data.")
        parser.add_argument("--upstream_digest", default=None, help="Of the upstream that training began with.")

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetMOS:
        module = cls.course.build(args.upstream_digest)
        args.upstream_digest = module.model.upstream.digest  # for ESPnet's config.yaml
        return module

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: ESPnetMOS) -> list[torch.optim.Optimizer]:
        optimiser = make_optimiser(model.model, model.config)
        cls.course.begin()  # nothing can be wrong with the configuration or the data any more
        return [optimiser]

    @classmethod
    def build_iter_factory(cls, args: argparse.Namespace, distributed_option: Any, mode: str, **_: Any) -> AbsIterFactory:
        return TrainBatches(cls.course.batches) if mode == "train" else NoBatches()

    @classmethod
    def build_model_from_file(
        cls, config_file: str | Path | None = None, model_file: str | Path | None = None, device: str = "cpu"
    ) -> tuple[ESPnetMOS, argparse.Namespace]:
        """Load one of ESPnet's model files of an experiment, such as ``checkpoints/valid.merit.best.pth``.

        Strictly, where :class:`AbsTask` lets missing and unknown names pass, and without running code from the files.

        Raises:
            TrainingError: if the names or shapes are not the model's.
        """
        config_file = Path(config_file or Path(model_file).parent / CONFIG)
        args = argparse.Namespace(**yaml.safe_load(config_file.read_text(encoding="utf-8")))
        config = parse(Config, args.mos_conf, f"{config_file}: mos_conf")
        model = build_model(config, load_upstream(config.upstream, config.upstream_conf), **args.heads_conf)
        module = ESPnetMOS(model, freeze(model, config.freeze_param), config)
        if model_file is not None:
            load_strictly(module, torch.load(model_file, map_location="cpu", weights_only=True), str(model_file))
        return module.to(device), args

    # ESPnet's own iterators need these; ours read the data directories.
    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> None:
        return None

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> None:
        return None

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        return ()

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        return ()


class TrainBatches(AbsIterFactory):
    """Gives ESPnet's trainer our batches of each epoch, in our order."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> Batches:
        """Yield ``(keys, {"sealed": batch})``; ESPnet counts epochs from 1."""
        for number, batch in enumerate(self.batches.epoch(epoch - 1, 0)):
            yield batch.keys, {"sealed": SealedBatch(batch, epoch - 1, number)}


class NoBatches(AbsIterFactory):
    """Stands for the dev set, which is not cut into training batches but scored."""

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> Iterator[Any]:
        return iter(())


class Processes:
    """The processes that ``torchrun`` has started and ESPnet connects, by Fabric's names for what there is to say of them."""

    def __init__(self) -> None:
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self.global_rank = int(os.environ.get("RANK", "0"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))

    @property
    def is_global_zero(self) -> bool:
        """Tell whether this is the process that writes and speaks."""
        return self.global_rank == 0

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            torch.distributed.barrier()

    @contextlib.contextmanager
    def rank_zero_first(self, local: bool = False) -> Iterator[None]:
        """Let the first process, of each machine if ``local``, through the block before the others."""
        first = (self.local_rank if local else self.global_rank) == 0
        if not first:
            self.barrier()
        yield
        if first:
            self.barrier()
