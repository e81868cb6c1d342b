"""One experiment of the papers: what it runs, what it draws, and what it checks."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self, TypeAlias

import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._lab import Lab

#: 'smoke' takes seconds, 'quick' minutes on two cores, 'paper' the sizes that the source states.
Preset: TypeAlias = Literal["smoke", "quick", "paper"]
PRESETS: tuple[Preset, ...] = ("smoke", "quick", "paper")


@dataclasses.dataclass(frozen=True)
class Cost:
    """How long a preset takes.

    Attributes:
        cpu: on two cores, measured unless it says 'about'.
        gpu: on one data-centre GPU, estimated by `_gpu_estimate`; "" of presets for a CPU.
    """

    cpu: str
    gpu: str = ""


class AbstractExperiment(abc.ABC):
    """An experiment; its subclasses are frozen dataclasses whose fields are its configuration.

    Attributes:
        name: on the command line, such as 'gd-1b'.
        title: one line.
        source: the paper or talk, and the figure or section.
        costs: the time of each preset.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    costs: ClassVar[Mapping[Preset, Cost]]

    @classmethod
    @abc.abstractmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """The configuration of each preset."""

    @abc.abstractmethod
    def run(self, lab: Lab) -> xr.Dataset:
        """All numbers that the figures and claims need, with labelled axes and units.

        Raises:
            Unfinished: if it was stopped.
        """

    @abc.abstractmethod
    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The figures, by file name without ending; each has a caption saying what ran."""

    @abc.abstractmethod
    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """What was checked, computed from the data alone."""
