"""How a trial ended, as a small number that arrays hold."""

from collections.abc import Mapping
from types import MappingProxyType

#: What the outcome 'result' means, by the names of `RESULTS`; 0 is left for trials not done.
RESULT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "converged": 1,
        "out_of_steps": 2,
        "diverged": 3,
        "completed": 4,
        "stopped": 5,
        "solver_failed": 6,
    }
)
