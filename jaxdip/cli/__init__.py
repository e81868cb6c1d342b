"""The command line, `jaxdip COMMAND …`: one command a file."""

from jaxdip.cli._main import main as main
