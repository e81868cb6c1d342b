"""How a run ended, in one word for tables and JSON."""

import jaxdip as jd

# Equinox enumerations do not list their members.
RESULT_NAMES = ("completed", "converged", "stopped", "out_of_steps", "diverged", "solver_failed")


def result_name(result: jd.RESULTS) -> str:
    """The name of a member of `jaxdip.RESULTS`."""
    return next(name for name in RESULT_NAMES if bool(result == getattr(jd.RESULTS, name)))
