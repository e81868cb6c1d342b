"""Generators: the untrained networks whose weights are θ."""

from jaxdip.generators._activations import ACTIVATIONS as ACTIVATIONS
from jaxdip.generators._activations import AbstractActivation as AbstractActivation
from jaxdip.generators._activations import Activation as Activation
from jaxdip.generators._activations import activation as activation
from jaxdip.generators._base import AbstractGenerator as AbstractGenerator
from jaxdip.generators._conv_decoder import ConvDecoder as ConvDecoder
from jaxdip.generators._conv_two_layer import ConvTwoLayer as ConvTwoLayer
from jaxdip.generators._convolution_kernels import box_kernel as box_kernel
from jaxdip.generators._convolution_kernels import gaussian_kernel as gaussian_kernel
from jaxdip.generators._convolution_kernels import triangular_kernel as triangular_kernel
from jaxdip.generators._deep_decoder import DeepDecoder as DeepDecoder
from jaxdip.generators._deep_decoder import decoder_sizes as decoder_sizes
from jaxdip.generators._latent import on_sphere as on_sphere
from jaxdip.generators._layered import AbstractLayeredGenerator as AbstractLayeredGenerator
from jaxdip.generators._layered import LastLayer as LastLayer
from jaxdip.generators._linear import Linear as Linear
from jaxdip.generators._mlp import MLP as MLP
from jaxdip.generators._rectifier import SmoothRectifier as SmoothRectifier
from jaxdip.generators._skip_net import LEAKY_RELU as LEAKY_RELU
from jaxdip.generators._skip_net import SkipNet as SkipNet
from jaxdip.generators._two_layer import OUTPUT_BOUND as OUTPUT_BOUND
from jaxdip.generators._two_layer import TwoLayer as TwoLayer
