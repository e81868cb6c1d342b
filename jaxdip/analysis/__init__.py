"""The constants on which the theorems depend, each with its evidence."""

from jaxdip.analysis._alignment import alignment as alignment
from jaxdip.analysis._alignment import mode_energies as mode_energies
from jaxdip.analysis._alignment import principal_angles as principal_angles
from jaxdip.analysis._bases import cosine_basis as cosine_basis
from jaxdip.analysis._bases import trigonometric_basis as trigonometric_basis
from jaxdip.analysis._bases import trigonometric_frequencies as trigonometric_frequencies
from jaxdip.analysis._circulant_weights import circulant as circulant
from jaxdip.analysis._circulant_weights import circulant_weights as circulant_weights
from jaxdip.analysis._circulant_weights import expected_relu_kernel as expected_relu_kernel
from jaxdip.analysis._circulant_weights import relu_jacobian_bound as relu_jacobian_bound
from jaxdip.analysis._circulant_weights import relu_output_bound as relu_output_bound
from jaxdip.analysis._conic import cone_injectivity as cone_injectivity
from jaxdip.analysis._conic import lazy_injectivity as lazy_injectivity
from jaxdip.analysis._conic import restricted_injectivity as restricted_injectivity
from jaxdip.analysis._distance_to_range import RangeFit as RangeFit
from jaxdip.analysis._distance_to_range import distance_to_range as distance_to_range
from jaxdip.analysis._gaussian_width import GordonBound as GordonBound
from jaxdip.analysis._gaussian_width import chi_mean as chi_mean
from jaxdip.analysis._gaussian_width import cone_width as cone_width
from jaxdip.analysis._gaussian_width import gordon_bound as gordon_bound
from jaxdip.analysis._gaussian_width import l1_descent_width as l1_descent_width
from jaxdip.analysis._gaussian_width import sample_bound as sample_bound
from jaxdip.analysis._gaussian_width import subspace_width as subspace_width
from jaxdip.analysis._jacobian_lipschitz import (
    AbstractJacobianLipschitz as AbstractJacobianLipschitz,
)
from jaxdip.analysis._jacobian_lipschitz import ConstantLipschitz as ConstantLipschitz
from jaxdip.analysis._jacobian_lipschitz import SequentialLipschitz as SequentialLipschitz
from jaxdip.analysis._jacobian_lipschitz import TwoLayerLipschitz as TwoLayerLipschitz
from jaxdip.analysis._jacobian_lipschitz import jacobian_lipschitz as jacobian_lipschitz
from jaxdip.analysis._jacobian_lipschitz import (
    sampled_jacobian_lipschitz as sampled_jacobian_lipschitz,
)
from jaxdip.analysis._kernel import kernel as kernel
from jaxdip.analysis._secants import derivative_lipschitz as derivative_lipschitz
from jaxdip.analysis._secants import forward_lipschitz as forward_lipschitz
from jaxdip.analysis._secants import secant_modulus as secant_modulus
from jaxdip.analysis._secants import sigma_F_bound as sigma_F_bound
from jaxdip.analysis._secants import sigma_F_sampled as sigma_F_sampled
from jaxdip.analysis._spectral_density import SpectralDensity as SpectralDensity
from jaxdip.analysis._spectral_density import spectral_density as spectral_density
from jaxdip.analysis._spectral_observables import KernelDrift as KernelDrift
from jaxdip.analysis._spectral_observables import ModeEnergies as ModeEnergies
from jaxdip.analysis._spectral_observables import SigmaMin as SigmaMin
from jaxdip.analysis._spectral_observables import SingularValues as SingularValues
from jaxdip.analysis._spectrum import Spectrum as Spectrum
from jaxdip.analysis._spectrum import spectrum as spectrum
