"""The constants on which the theorems depend, each with its evidence."""

from jaxdip.analysis._alignment import alignment as alignment
from jaxdip.analysis._alignment import mode_energies as mode_energies
from jaxdip.analysis._alignment import principal_angles as principal_angles
from jaxdip.analysis._bases import cosine_basis as cosine_basis
from jaxdip.analysis._bases import trigonometric_basis as trigonometric_basis
from jaxdip.analysis._bases import trigonometric_frequencies as trigonometric_frequencies
from jaxdip.analysis._jacobian_lipschitz import (
    AbstractJacobianLipschitz as AbstractJacobianLipschitz,
)
from jaxdip.analysis._jacobian_lipschitz import ConstantLipschitz as ConstantLipschitz
from jaxdip.analysis._jacobian_lipschitz import TwoLayerLipschitz as TwoLayerLipschitz
from jaxdip.analysis._jacobian_lipschitz import jacobian_lipschitz as jacobian_lipschitz
from jaxdip.analysis._kernel import kernel as kernel
from jaxdip.analysis._spectral_density import SpectralDensity as SpectralDensity
from jaxdip.analysis._spectral_density import spectral_density as spectral_density
from jaxdip.analysis._spectral_observables import KernelDrift as KernelDrift
from jaxdip.analysis._spectral_observables import ModeEnergies as ModeEnergies
from jaxdip.analysis._spectral_observables import SigmaMin as SigmaMin
from jaxdip.analysis._spectral_observables import SingularValues as SingularValues
from jaxdip.analysis._spectrum import Spectrum as Spectrum
from jaxdip.analysis._spectrum import spectrum as spectrum
