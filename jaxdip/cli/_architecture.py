"""Options of the networks that recover images by an optimiser."""

import dataclasses
import math
from collections.abc import Set
from typing import Any, Literal

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._forward import require
from jaxdip.cli._network import Network
from jaxdip.cli._runtime import UsageError
from jaxdip.generators import AbstractGenerator

Kind = Literal["two-layer", "mlp", "deep-decoder", "conv-decoder", "dip"]
#: An image's side over the latent's, and the sides that the latent may have.
_ENLARGED, _SMALLEST, _LARGEST = 16, 4, 32
#: Options that say nothing with a generator.
_DENSE = frozenset({"--width", "--latent", "--train"})
_VAIN = {
    "two-layer": {"--layers", "--channels", "--start"},
    "mlp": {"--channels", "--start", "--train"},
    "deep-decoder": _DENSE,
    "conv-decoder": _DENSE,
    "dip": _DENSE | {"--start"},
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The network that an optimiser trains, for pixels in [0, 1]."""

    generator: Kind = "two-layer"
    """two-layer and mlp are dense, deep-decoder upsamples and mixes channels, conv-decoder also
    convolves, dip is the Deep Image Prior's encoder-decoder with skips."""
    layers: int = 5
    """mlp: hidden layers; decoders: layers that enlarge; dip: scales."""
    channels: int = 64
    """Channels of each layer of a convolutional network."""
    start: int | None = None
    """decoders: the shorter side of the latent; by default a 16th of the image's, 4 to 32,
    but no more than the image's."""

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse numbers outside their ranges, and options of other generators."""
        vain = sorted(given & _VAIN[self.generator])
        if vain:
            raise UsageError(
                f"{vain[0]} says nothing with --generator {self.generator}; leave it out"
            )
        require(self.layers >= 1, "--layers", self.layers, "at least 1")
        require(self.channels >= 2, "--channels", self.channels, "at least 2")
        if self.start is not None:
            require(self.start >= 1, "--start", self.start, "at least 1")

    def build(
        self, shape: tuple[int, ...], network: Network, key: Key
    ) -> tuple[AbstractGenerator, Array]:
        """The network at its start, and its latent."""
        if self.generator == "two-layer":
            return network.build(shape, key)
        init, latent = jd.key_for(key, "init"), jd.key_for(key, "latent")
        if self.generator == "mlp":
            widths = (network.latent, *[network.width] * self.layers)
            # A factor of √n makes every output of order one, as the two-layer network's.
            made = jd.MLP(widths=widths, out=shape, key=init, activation=network.phi)
            return made, jd.on_sphere(network.latent, key=latent) * network.latent**0.5
        grid = shape[:2]
        colours = shape[2] if len(shape) == 3 else None
        # Each class has a default of its own.
        phi: dict[str, Any] = {"activation": network.activation} if network.activation else {}
        if self.generator == "dip":
            scales = (self.channels,) * self._scales(grid)
            net = jd.generators.SkipNet(
                grid=grid, key=init, down=scales, colours=colours, sigmoid=True, **phi
            )
            return net, net.latent(latent)
        kind = {
            "deep-decoder": jd.DeepDecoder,
            "conv-decoder": jd.generators.ConvDecoder,
        }[self.generator]
        decoder = kind(
            channels=self.channels,
            start=self._start(grid),
            grid=grid,
            layers=self.layers,
            key=init,
            colours=colours,
            sigmoid=True,
            **phi,
        )
        return decoder, decoder.latent(latent)

    def _start(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        shorter = min(grid)
        start = self.start
        if start is None:
            start = min(max(_SMALLEST, round(shorter / _ENLARGED)), _LARGEST, shorter)
        expected = f"at most the image's shorter side, {shorter} pixels"
        require(start <= shorter, "--start", start, expected)
        return tuple(max(1, round(start * side / shorter)) for side in grid)

    def _scales(self, grid: tuple[int, ...]) -> int:
        """Halvings that leave two pixels or more."""
        most = max(1, int(math.log2(min(grid))) - 1)
        require(
            self.layers <= most, "--layers", self.layers, f"at most {most} for {min(grid)} pixels"
        )
        return self.layers

    def describe(self, network: Network) -> str:
        """The network in a few words."""
        if self.generator == "two-layer":
            return network.describe().split(";")[0]
        if self.generator == "mlp":
            return f"MLP, {network.phi}, {self.layers} hidden layers of {network.width}"
        name = {"dip": "Deep Image Prior", "deep-decoder": "Deep decoder"}
        unit = "scales" if self.generator == "dip" else "layers"
        kind = name.get(self.generator, "ConvDecoder")
        phi = f", {network.activation}" if network.activation else ""
        return f"{kind}{phi}, {self.layers} {unit} of {self.channels} channels"
