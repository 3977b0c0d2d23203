"""The command line: one file per command."""

from crossprompt.cli.main import main as main
