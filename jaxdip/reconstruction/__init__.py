"""From data to an image in one call, with every stopping rule's answer from one run."""

from jaxdip.reconstruction._memory import Memory as Memory
from jaxdip.reconstruction._penalty import TotalVariation as TotalVariation
from jaxdip.reconstruction._reconstruct import reconstruct as reconstruct
from jaxdip.reconstruction._reconstruction import Reconstruction as Reconstruction
from jaxdip.reconstruction._reconstruction import Stop as Stop
