"""``distilmos versa``: the metric in VERSA's own commands."""

from __future__ import annotations

import typer

app = typer.Typer(help="The metric in plain versa-score: an import hook, on and off.", no_args_is_help=True)


@app.command("enable")
def enable() -> None:
    """Let versa-score of this environment know the metric distilmos.

    Writes one .pth file into the environment; `distilmos versa disable` removes it. `distilmos-versa` works without.
    """
    from distilmos_plugin.integrations import versa_switch

    print(f"enabled: {versa_switch.enable()}")


@app.command("disable")
def disable() -> None:
    """Remove what enable has written."""
    from distilmos_plugin.integrations import versa_switch

    print(f"removed: {versa_switch.hook_file()}" if versa_switch.disable() else "was not enabled")


@app.command("status")
def status() -> None:
    """Show whether it is enabled, and which VERSA there is."""
    from distilmos_plugin.integrations import versa_switch

    print(versa_switch.status())
