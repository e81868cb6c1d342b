"""From data to an image in one call, with every stopping rule's answer from one run."""

from jaxdip.reconstruction._memory import Memory as Memory
from jaxdip.reconstruction._penalty import TotalVariation as TotalVariation
from jaxdip.reconstruction._reconstruct import reconstruct as reconstruct
from jaxdip.reconstruction._reconstruction import Reconstruction as Reconstruction
from jaxdip.reconstruction._reconstruction import Stop as Stop
from jaxdip.reconstruction._tiles import Tile as Tile
from jaxdip.reconstruction._tiles import TiledReconstruction as TiledReconstruction
from jaxdip.reconstruction._tiles import reconstruct_tiles as reconstruct_tiles
from jaxdip.reconstruction._tiles import tile_count as tile_count
from jaxdip.reconstruction._tiles import tile_shape as tile_shape
