"""Images, blur kernels and raw MR data from files, real images by name, phantoms, image quality.

Arrays in, arrays out: nothing here knows of networks or operators. Pillow, tifffile and
scikit-image's pictures are loaded when a function needs them; `pip install "jaxdip[images]"`
brings all three. `pip install "jaxdip[mri]"` brings h5py for `read_fastmri`.
"""

from jaxdip.imaging._fastmri import FastMRI as FastMRI
from jaxdip.imaging._fastmri import read_fastmri as read_fastmri
from jaxdip.imaging._image import Image as Image
from jaxdip.imaging._kernel_file import read_kernel as read_kernel
from jaxdip.imaging._library import image_names as image_names
from jaxdip.imaging._library import named_image as named_image
from jaxdip.imaging._metrics import nmse as nmse
from jaxdip.imaging._metrics import psnr as psnr
from jaxdip.imaging._metrics import snr as snr
from jaxdip.imaging._phantom import EllipsePhantom as EllipsePhantom
from jaxdip.imaging._read import read_image as read_image
from jaxdip.imaging._resample import resample as resample
from jaxdip.imaging._ssim import ssim as ssim
from jaxdip.imaging._write import write_image as write_image
