"""``distilmos submit``: answers to challenges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup


class ChallengeFirst(TyperGroup):
    """``distilmos submit vmc2022 ...`` is ``distilmos submit pack vmc2022 ...``."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]  # of click
        known = args and (args[0] in self.commands or args[0].startswith("-"))
        return super().resolve_command(ctx, args if known else ["pack", *args])


app = typer.Typer(
    help="Answers to the VoiceMOS and AudioMOS Challenges.\n\n"
    "`distilmos submit CHALLENGE scores.jsonl -o answer.zip` packs one.",
    no_args_is_help=True,
    cls=ChallengeFirst,
)
Data = Annotated[
    list[Path],
    typer.Option("--data", metavar="FOLDER", help="Data directory with the clips that are asked for; several may be."),
]
Ids = Annotated[
    list[Path],
    typer.Option("--ids", metavar="FILE", help="Or the challenge's own list of names (eval_list.txt); may be repeated."),
]
Columns = Annotated[
    str | None, typer.Option(help="Order of the columns, a,b,c, where the challenge's is not documented here.")
]
Named = Annotated[str | None, typer.Option("--challenge", help="What it answers, where its ids do not tell.")]


@app.command("pack")
def pack(
    challenge: Annotated[str, typer.Argument(help="`distilmos submit list` names them.")],
    scores: Annotated[list[Path], typer.Argument(help="Score files.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The zip file.")],
    data: Data = [],  # noqa: B006  typer copies it
    ids: Ids = [],  # noqa: B006
    columns: Columns = None,
) -> None:
    """Pack scores as the zip file that a challenge takes.

    An answer that is not complete is refused.
    """
    from distilmos_plugin.integrations.challenges.packing import pack as pack_answer

    pack_answer(challenge, scores, output, data=data, ids=ids, columns=columns)


@app.command("check")
def check(
    answer: Annotated[Path, typer.Argument(help="Zip file, or the table in it.")],
    challenge: Named = None,
    data: Data = [],  # noqa: B006
    ids: Ids = [],  # noqa: B006
) -> None:
    """Check an answer that was made elsewhere."""
    from distilmos_plugin.integrations.challenges.judging import check_answer

    print(check_answer(answer, challenge, data, ids))


@app.command("score")
def score(
    answer: Annotated[Path, typer.Argument(help="Zip file, or the table in it.")],
    data: Annotated[
        list[Path], typer.Option("--data", metavar="FOLDER", help="Data directory with the truth; several may be.")
    ],
    challenge: Named = None,
    columns: Columns = None,
    system_truth: Annotated[str, typer.Option(help="scored-set, ratings or file: where a system's true score comes from.")] = (
        "scored-set"
    ),
    system_file: Annotated[Path | None, typer.Option(help="With --system-truth file: lines of system,mean.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The figures as JSON.")] = None,
) -> None:
    """Score an answer against released truth: the official figures."""
    from distilmos_plugin.files import write_json
    from distilmos_plugin.integrations.challenges.judging import official_table, score_answer

    figures = score_answer(answer, data, challenge, columns, system_truth, system_file)
    if output is not None:
        write_json(output, figures)
    print(official_table(figures))


@app.command("stage")
def stage(
    expdir: Annotated[Path, typer.Argument(help="Experiment directory, with <set>/scores.jsonl.")],
    datadir: Annotated[Path, typer.Argument(help="Data directories.")],
    sets: Annotated[list[str], typer.Argument(help="Test sets.")],
    columns: Columns = None,
) -> None:
    """Pack the answers of test sets that belong to a challenge.

    This is stage 7 of the recipe.
    """
    from distilmos_plugin.integrations.challenges.packing import pack_stage

    scores = [expdir / name / "scores.jsonl" for name in sets]
    for path in pack_stage(scores, [datadir / name for name in sets], expdir, columns):
        print(path)


@app.command("list")
def list_all() -> None:
    """List the challenges and the form of their answers."""
    from distilmos_plugin.integrations.challenges.formats import describe

    print(describe())
