"""The ``distilmos`` command: each subcommand is a few lines over one function of the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from distilmos_plugin.commands import corpus, submit, tokens, upstream, versa
from distilmos_plugin.commands.options import Conf, Settings, read_config
from distilmos_plugin.errors import ConfigError, DistilmosError, suggest

app = typer.Typer(
    name="distilmos",
    help="Predict the mean opinion score (MOS) of speech without a reference: train, score, evaluate.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(corpus.app, name="corpus")
app.add_typer(submit.app, name="submit")
app.add_typer(tokens.app, name="tokens")
app.add_typer(upstream.app, name="upstream")
app.add_typer(versa.app, name="versa")

SystemTruth = Annotated[str, typer.Option(help="scored-set, ratings or file: where a system's true score comes from.")]
SystemFile = Annotated[Path | None, typer.Option(help="With --system-truth file: lines of system,mean.")]
Force = Annotated[bool, typer.Option("--force", help="Do it again, also where the output is complete and current.")]


def main() -> None:
    """Run the command; an error that the user can mend is one line on standard error and exit status 2."""
    # Read when torch is loaded: OpenMP's threads then spin only briefly before they sleep. With other work on the machine the
    # long default made a training step 60 times slower; without, this costs a tenth, and not spinning at all would double it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        app()
    except DistilmosError as error:
        print(f"distilmos: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("distilmos: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show_version(wanted: bool) -> None:
    if wanted:
        from distilmos_plugin import __version__

        print(f"distilmos-plugin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def doctor() -> None:
    """Show what is installed, what is missing, what is broken.

    Exit status 0 if scoring works here, else 1.
    """
    from distilmos_plugin.doctor import report

    text, sound = report()
    print(text)
    raise typer.Exit(0 if sound else 1)


@app.command()
def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders, globs, wav.scp files, data directories; - reads a list from standard input.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Bundled name, folder (exp/<experiment>/model), hf:owner/repository[/folder][@revision], official:wavlm, "
            "official:w2v2, public:dnsmos or public:distillmos. Several: mean and spread too.",
        ),
    ] = ["mini"],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Score file (.jsonl, .csv, .tsv); without it, a table.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="jsonl, csv or tsv, where the ending does not tell.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what the output, or the .part of a killed run, has already.")
    ] = False,
    frames: Annotated[bool, typer.Option("--frames", help="Scores over time too (.jsonl only).")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Mean, standard deviation, median, percentiles, counts.")] = False,
    system_from: Annotated[
        str | None, typer.Option(help="Summary by system: the first group of this regular expression in the key.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    batch_seconds: Annotated[
        float | None, typer.Option(help="Padded audio in a batch, seconds; default: the model's.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that read audio.")] = None,
    allow_pipes: Annotated[bool, typer.Option("--allow-pipes", help="Run the command pipes of a wav.scp.")] = False,
    signature: Annotated[bool, typer.Option("--signature", help="Print what would make the scores, and end.")] = False,
) -> None:
    """Score speech: files, folders, data directories.

    Exit status 0 if every clip has a score, 3 if some have none; the output says why.
    """
    from distilmos_plugin.scoring.run import READERS, score_paths, signatures

    if signature:
        print("\n".join(signatures(model, device, precision)))
        return
    outcome = score_paths(
        paths or [],
        model=model,
        output=output,
        format=format,
        resume=resume,
        frames=frames,
        summary=summary,
        system_from=system_from,
        device=device,
        precision=precision,
        batch_seconds=batch_seconds,
        workers=READERS if workers is None else workers,
        allow_pipes=allow_pipes,
    )
    raise typer.Exit(outcome.exit_code)


@app.command("pseudo-label")
def pseudo_label(
    data: Annotated[Path, typer.Argument(help="Data directory; with --conf, the folder of a corpus's data directories.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Data directory to write, or with --conf their folder.")],
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="Model as for `distilmos score`, or public:dnsmos, public:distillmos; may be repeated."
        ),
    ] = [],  # noqa: B006
    conf: Annotated[
        Path | None, typer.Option("--conf", help="Label each set as this configuration's pseudo_conf says.")
    ] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Write the scores of models as labels of data directories.

    The new directories point to the same audio and keep all other labels.
    """
    from distilmos_plugin.scoring.pseudo import pseudo_label, pseudo_stage

    if conf is None:
        pseudo_label(data, output, teacher)
    else:
        pseudo_stage(read_config(conf, settings), data, output)


@app.command()
def train(
    train_data: Annotated[Path, typer.Argument(help="Data directory to train on.")],
    dev_data: Annotated[Path, typer.Argument(help="Data directory to choose the model by.")],
    conf: Conf,
    expdir: Annotated[Path, typer.Option(help="Experiment directory; training that was cut off goes on there.")],
    tokens: Annotated[Path | None, typer.Option(help="Folder of `distilmos tokens`, for systems with a token loss.")] = None,
    ngpu: Annotated[int | None, typer.Option(help="GPUs a node; default: all there are; 0 is the CPU.")] = None,
    nnodes: Annotated[int, typer.Option(help="Nodes.")] = 1,
    trainer: Annotated[
        str, typer.Option(help="What takes the steps: lightning, or espnet (pip install 'distilmos-plugin[espnet]').")
    ] = "lightning",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Train a system.

    Training that was cut off goes on; the model directory that scoring needs is written at the end.
    """
    if trainer == "espnet":
        from distilmos_plugin.integrations.espnet import train as run
    elif trainer == "lightning":
        from distilmos_plugin.training.fit import train as run
    else:
        raise ConfigError(f"--trainer: '{trainer}' is not one of lightning, espnet{suggest(trainer, ('lightning', 'espnet'))}")
    run(read_config(conf, settings), train_data, dev_data, expdir, tokens, ngpu=ngpu, nnodes=nnodes)


@app.command()
def evaluate(
    scores: Annotated[Path, typer.Argument(help="Score file.")],
    data: Annotated[Path, typer.Option(help="Data directory with the labels.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results; default: the score file's.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: SystemFile = None,
    force: Force = False,
) -> None:
    """Compare scores with labels: figures, plots, report.

    Writes metrics.json, *.png and report.html.
    """
    from distilmos_plugin.data.directory import DataDirectory
    from distilmos_plugin.evaluation.evaluate import evaluate_once
    from distilmos_plugin.evaluation.tables import evaluation_table

    figures = evaluate_once(
        scores,
        DataDirectory.read(data),
        output or scores.parent,
        force=force,
        resamples=resamples,
        seed=seed,
        system_truth=system_truth,
        system_file=system_file,
    )
    print(evaluation_table(figures))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Score file, or a quoted pattern of several: one training run each.")],
    b: Annotated[str, typer.Argument(help="Those of another model, on the same clips.")],
    data: Annotated[Path, typer.Option(help="Data directory with the labels.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The differences as JSON.")] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: SystemFile = None,
) -> None:
    """Compare two models on the same clips.

    Differences of every figure with 95 % intervals and p-values, by paired bootstrap. Several runs a side count with their
    mean.
    """
    from distilmos_plugin.data.directory import DataDirectory
    from distilmos_plugin.evaluation.compare import compare as compare_scores
    from distilmos_plugin.evaluation.tables import comparison_table
    from distilmos_plugin.files import write_json

    differences = compare_scores(
        a,
        b,
        DataDirectory.read(data),
        resamples=resamples,
        seed=seed,
        system_truth=system_truth,
        system_file=system_file,
    )
    if output is not None:
        write_json(output, differences)
    print(comparison_table(differences))


@app.command()
def report(
    scores: Annotated[Path, typer.Argument(help="Score file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")],
    data: Annotated[Path | None, typer.Option(help="Data directory with labels or system ids.")] = None,
    system_from: Annotated[
        str | None, typer.Option(help="System: the first group of this regular expression in the key.")
    ] = None,
) -> None:
    """Write an HTML report of scores, with or without labels."""
    from distilmos_plugin.data.directory import DataDirectory
    from distilmos_plugin.evaluation.report import write_report

    print(write_report(scores, output, DataDirectory.read(data) if data else None, system_from=system_from))


@app.command()
def rank(
    scores: Annotated[Path, typer.Argument(help="Score file with the clips of several systems.")],
    data: Annotated[Path, typer.Option(help="Their data directory, with utt2system; `distilmos corpus gather` writes one.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results; default: the score file's.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Score to rank by; default: the first, mos.")] = None,
    sentence_from: Annotated[
        str | None, typer.Option(help="Sentence: the first group of this regular expression in the key.")
    ] = None,
) -> None:
    """Rank systems by predicted score, without labels.

    Means with intervals and paired tests over shared sentences. Writes ranking.json, ranking.md and report.html.
    """
    from distilmos_plugin.data.directory import DataDirectory
    from distilmos_plugin.evaluation.ranking import rank, ranking_table

    print(
        ranking_table(
            rank(scores, DataDirectory.read(data), output or scores.parent, target=target, sentence_from=sentence_from)
        )
    )


@app.command()
def results(
    expdirs: Annotated[
        list[Path] | None, typer.Argument(help="Experiment directory, or several; none where nothing was run.")
    ] = None,
    command: Annotated[str | None, typer.Option(help="The command line that made the results, to be quoted.")] = None,
    record: Annotated[Path | None, typer.Option(help="Put the results into this RESULTS.md of a recipe too.")] = None,
    corpus: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A corpus of the recipe; may be repeated.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="One file over all of the experiments.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Another experiment, for best-score ratio and difference; may be repeated."),
    ] = None,
) -> None:
    """Write RESULTS.md of an experiment, or one table over many.

    One experiment: its own RESULTS.md, and with --record FILE --corpus NAME that of a recipe. Several: --output FILE.
    """
    from distilmos_plugin.errors import ConfigError
    from distilmos_plugin.evaluation.overview import write_overview
    from distilmos_plugin.evaluation.record import record_results
    from distilmos_plugin.evaluation.results import write_results

    experiments = expdirs or []
    if output is not None and experiments and record is None:
        write_overview(experiments, output, command)
        return
    if output is not None or (record is None) != (not corpus) or len(experiments) > 1 or not (experiments or record):
        raise ConfigError(
            "results: give one experiment directory, --record with --corpus, or both; or experiments with --output"
        )
    for expdir in experiments:
        write_results(expdir, command, against or ())
    if record is not None and corpus:
        record_results(record, corpus, experiments[0] if experiments else None)


@app.command()
def release(expdir: Annotated[Path, typer.Argument(help="Experiment directory.")]) -> None:
    """Put the measured figures into a model's card."""
    from distilmos_plugin.scoring.publish import publish

    publish(expdir)


@app.command()
def ensemble(
    output: Annotated[Path, typer.Argument(help="Folder to write; it is used as one model.")],
    model: Annotated[list[str], typer.Option(metavar="NAME", help="Model, as of `distilmos score`; may be repeated.")],
    scores: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", help="Score file of each model, of clips it was not trained on: a ridge stack instead of the mean."
        ),
    ] = [],  # noqa: B006
    data: Annotated[
        list[Path], typer.Option(metavar="FOLDER", help="Data directory with labels of these clips; one or several.")
    ] = [],  # noqa: B006
) -> None:
    """Make one model of several: their mean, or a ridge stack.

    A stack is fitted on scores of clips that the models were not trained on (--scores, --data).
    """
    from distilmos_plugin.training.stacking import make_ensemble

    make_ensemble(output, model, scores, data)
