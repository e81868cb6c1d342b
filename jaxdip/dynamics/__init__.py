"""The dynamics of θ: flows, their discrete counterparts, and how they are run and compared."""

from jaxdip.dynamics._descent import AbstractDescent as AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow as AbstractFlow
from jaxdip.dynamics._gap import Gap as Gap
from jaxdip.dynamics._gap import gap as gap
from jaxdip.dynamics._gradient_descent import GradientDescent as GradientDescent
from jaxdip.dynamics._gradient_flow import GradientFlow as GradientFlow
from jaxdip.dynamics._igahd import IGAHD as IGAHD
from jaxdip.dynamics._integrate import integrate as integrate
from jaxdip.dynamics._isehd import ISEHD as ISEHD
from jaxdip.dynamics._iterate import iterate as iterate
from jaxdip.dynamics._linearised import Linearised as Linearised
from jaxdip.dynamics._linearised import linearised as linearised
from jaxdip.dynamics._optax import Optax as Optax
from jaxdip.dynamics._order import Order as Order
from jaxdip.dynamics._order import convergence_order as convergence_order
from jaxdip.dynamics._run import Progress as Progress
from jaxdip.dynamics._scales import Scales as Scales
