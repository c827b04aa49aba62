"""Groups of subcommands of ``distilmos``: each command is a few lines over one function of the package."""
