"""The constants on which the theorems depend, each with its evidence."""

from jaxdip.analysis._jacobian_lipschitz import (
    AbstractJacobianLipschitz as AbstractJacobianLipschitz,
)
from jaxdip.analysis._jacobian_lipschitz import ConstantLipschitz as ConstantLipschitz
from jaxdip.analysis._jacobian_lipschitz import TwoLayerLipschitz as TwoLayerLipschitz
from jaxdip.analysis._jacobian_lipschitz import jacobian_lipschitz as jacobian_lipschitz
