"""Forward operators F, from signals to observations, linear and not.

`Dense`, `Gaussian`, `WithSpectrum`, `Blur`, `Mask` and `Identity` are linear; `PhaseRetrieval`,
`CodedDiffraction` and `Callable` (any differentiable function) are not. `A @ B`, `A + B` and
`c * A` combine them. For images there are compressive sensing without a stored matrix
(`SubsampledHadamard`, `SubsampledFourier`, `SubsampledDCT`, `ChunkedGaussian`), `SuperResolution`,
`MRI` with masks and coils, `NonUniformFourier` and tomography (`Radon`).
`check_operator` tells whether an operator of your own obeys the laws; derive a linear one from
`AbstractMatrixFreeOperator` if nothing is known about its spectrum, from
`AbstractClosedFormOperator` if its singular values are.
"""

from jaxdip.operators._algebra import Composition as Composition
from jaxdip.operators._algebra import LinearComposition as LinearComposition
from jaxdip.operators._algebra import LinearScaled as LinearScaled
from jaxdip.operators._algebra import LinearSum as LinearSum
from jaxdip.operators._algebra import Scaled as Scaled
from jaxdip.operators._algebra import Sum as Sum
from jaxdip.operators._base import AbstractLinearOperator as AbstractLinearOperator
from jaxdip.operators._base import AbstractOperator as AbstractOperator
from jaxdip.operators._blur import Blur as Blur
from jaxdip.operators._callable import Callable as Callable
from jaxdip.operators._cartesian_mask import cartesian_mask as cartesian_mask
from jaxdip.operators._centred_fourier import centred_fft as centred_fft
from jaxdip.operators._centred_fourier import centred_ifft as centred_ifft
from jaxdip.operators._check_operator import LawCheck as LawCheck
from jaxdip.operators._check_operator import OperatorReport as OperatorReport
from jaxdip.operators._check_operator import check_operator as check_operator
from jaxdip.operators._chunked_gaussian import ChunkedGaussian as ChunkedGaussian
from jaxdip.operators._coded_diffraction import CodedDiffraction as CodedDiffraction
from jaxdip.operators._dense import AbstractDense as AbstractDense
from jaxdip.operators._dense import Dense as Dense
from jaxdip.operators._dense import Gaussian as Gaussian
from jaxdip.operators._estimate_norm import estimate_norm as estimate_norm
from jaxdip.operators._linearized import Linearized as Linearized
from jaxdip.operators._mask import Identity as Identity
from jaxdip.operators._mask import Mask as Mask
from jaxdip.operators._motion_kernel import motion_kernel as motion_kernel
from jaxdip.operators._mri import MRI as MRI
from jaxdip.operators._non_uniform_fourier import NonUniformFourier as NonUniformFourier
from jaxdip.operators._phase_retrieval import PhaseRetrieval as PhaseRetrieval
from jaxdip.operators._radon import Radon as Radon
from jaxdip.operators._randomized import AbstractRandomizedTransform as AbstractRandomizedTransform
from jaxdip.operators._sensitivities import birdcage_maps as birdcage_maps
from jaxdip.operators._sensitivities import estimate_sensitivities as estimate_sensitivities
from jaxdip.operators._sensitivities import root_sum_of_squares as root_sum_of_squares
from jaxdip.operators._spectral import AbstractClosedFormOperator as AbstractClosedFormOperator
from jaxdip.operators._spectral import AbstractDenseSpectrum as AbstractDenseSpectrum
from jaxdip.operators._spectral import AbstractMatrixFreeOperator as AbstractMatrixFreeOperator
from jaxdip.operators._spectral import AbstractSpectralOperator as AbstractSpectralOperator
from jaxdip.operators._subsampled_dct import SubsampledDCT as SubsampledDCT
from jaxdip.operators._subsampled_fourier import SubsampledFourier as SubsampledFourier
from jaxdip.operators._subsampled_hadamard import SubsampledHadamard as SubsampledHadamard
from jaxdip.operators._super_resolution import SuperResolution as SuperResolution
from jaxdip.operators._with_spectrum import WithSpectrum as WithSpectrum
