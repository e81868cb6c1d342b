"""Words and a file become one frozen dataclass."""

from pathlib import Path

import pytest

from jaxdip.cli._parse import flat_fields, parse
from jaxdip.cli._runtime import UsageError
from jaxdip.cli.recover import Recover

TOML = """
image = "coins"
steps = 5
dynamics = ["gd", "gf"]
noise = 0.02
loss-parameter = 3
loss = "huber"
gray = true
observed = false
"""


def _parse(tmp_path, *words):
    (tmp_path / "run.toml").write_text(TOML)
    parsed = parse(Recover, "recover", [*words, "--config", str(tmp_path / "run.toml")])
    return flat_fields(parsed[0])


def test_the_file_fills_in_and_the_command_line_wins(tmp_path):
    used = _parse(tmp_path, "--noise", "0.03", "--steps=7", "--blur-std", "2")
    assert (used["image"], used["steps"], used["dynamics"]) == ("coins", 7, "gd,gf")
    assert (used["noise"], used["loss"], used["loss_parameter"]) == (0.03, "huber", 3.0)
    assert (used["gray"], used["observed"], used["blur_std"]) == (True, False, 2.0)
    assert _parse(tmp_path, "moon")["image"] == "moon"


def test_defaults_and_nested_options_are_flat():
    used = flat_fields(parse(Recover, "recover", ["camera", "--gray", "--platform", "cpu"])[0])
    assert (used["image"], used["operator"], used["noise"]) == ("camera", "blur", 0.01)
    assert (used["precision"], used["platform"], used["seed"]) == ("float64", "cpu", 0)
    assert used["out"] == Path("recovered")
    assert used["measurements"] is None
    assert hash(parse(Recover, "recover", ["camera"])[0]) == hash(Recover("camera"))


def test_the_flags_given_are_known(tmp_path):
    (tmp_path / "run.toml").write_text("blur_std = 1.0\ngray = false\nimage = 'coins'")
    words = ["--noise=0.01", "--tau", "1", "--config", str(tmp_path / "run.toml")]
    given = parse(Recover, "recover", words)[1]
    assert given == {"--noise", "--tau", "--config", "--blur-std"}
    assert parse(Recover, "recover", ["camera", "--blur_std", "2"])[1] == {"--blur-std"}


@pytest.mark.parametrize("columns", ["40", "200"])
def test_an_error_is_one_line_however_wide_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(UsageError) as caught:
        parse(Recover, "recover", ["camera", "--operator", "blurr"])
    message = str(caught.value)
    assert message.count("\n") == 0
    assert message.startswith("invalid choice 'blurr' for argument '--operator'.")
    assert "'spectrum'" in message
    assert message.endswith("see jaxdip recover --help")
