"""The inverse problem, its data, its exact reduction, and what can be observed of a run."""

from jaxdip.problem import observables as observables
from jaxdip.problem._curvature import dense_jacobian as dense_jacobian
from jaxdip.problem._curvature import gradient_lipschitz as gradient_lipschitz
from jaxdip.problem._curvature import jacobian_sigma_min as jacobian_sigma_min
from jaxdip.problem._curvature import kernel_norm as kernel_norm
from jaxdip.problem._curvature import lipschitz_bound as lipschitz_bound
from jaxdip.problem._curvature import lipschitz_local as lipschitz_local
from jaxdip.problem._measure import Measurement as Measurement
from jaxdip.problem._measure import measure as measure
from jaxdip.problem._observables import complete as complete
from jaxdip.problem._observables import record as record
from jaxdip.problem._problem import Parameters as Parameters
from jaxdip.problem._problem import Problem as Problem
from jaxdip.problem._problem import check_generator as check_generator
from jaxdip.problem._problem import parametrize as parametrize
from jaxdip.problem._reduce import Lift as Lift
from jaxdip.problem._reduce import Reduction as Reduction
from jaxdip.problem._reduce import reduce as reduce
from jaxdip.problem._reduce import unreduced as unreduced
