"""Random corruptions of a clean observation; levels are array leaves, draws take a key."""

from jaxdip.noise._base import AbstractNoise as AbstractNoise
from jaxdip.noise._gaussian import Gaussian as Gaussian
from jaxdip.noise._poisson import Poisson as Poisson
from jaxdip.noise._salt_and_pepper import SaltAndPepper as SaltAndPepper
from jaxdip.noise._uniform import Uniform as Uniform
