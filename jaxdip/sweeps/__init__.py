"""Monte Carlo sweeps: a grid of cells, trials by key, units of work, a store that resumes."""

from jaxdip.sweeps._grid import Grid as Grid
from jaxdip.sweeps._grid import cell_key as cell_key
from jaxdip.sweeps._identity import numerical_identity as numerical_identity
from jaxdip.sweeps._kernels import in_lanes as in_lanes
from jaxdip.sweeps._kernels import one_by_one as one_by_one
from jaxdip.sweeps._rank import Rank as Rank
from jaxdip.sweeps._rank import find_rank as find_rank
from jaxdip.sweeps._rank import start_distributed as start_distributed
from jaxdip.sweeps._result import Frequency as Frequency
from jaxdip.sweeps._result import SweepResult as SweepResult
from jaxdip.sweeps._store import Store as Store
from jaxdip.sweeps._sweep import Sweep as Sweep
from jaxdip.sweeps._sweep import SweepProgress as SweepProgress
from jaxdip.sweeps._sweep import collect as collect
from jaxdip.sweeps._sweep import run_units as run_units
from jaxdip.sweeps._sweep import sweep as sweep
from jaxdip.sweeps._trial import AbstractLoopTrial as AbstractLoopTrial
from jaxdip.sweeps._trial import AbstractTrial as AbstractTrial
from jaxdip.sweeps._trial import FunctionTrial as FunctionTrial
from jaxdip.sweeps._trial import Point as Point
from jaxdip.sweeps._trial import Value as Value
from jaxdip.sweeps._unit import Unit as Unit
from jaxdip.sweeps._wilson import wilson as wilson
