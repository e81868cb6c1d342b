"""Images in and out of files, real images by name, resampling and image quality.

Arrays in, arrays out: nothing here knows of networks or operators. Pillow, tifffile and
scikit-image's pictures are loaded when a function needs them; `pip install "jaxdip[images]"`
brings all three.
"""

from jaxdip.imaging._image import Image as Image
from jaxdip.imaging._library import image_names as image_names
from jaxdip.imaging._library import named_image as named_image
from jaxdip.imaging._metrics import nmse as nmse
from jaxdip.imaging._metrics import psnr as psnr
from jaxdip.imaging._metrics import snr as snr
from jaxdip.imaging._read import read_image as read_image
from jaxdip.imaging._resample import resample as resample
from jaxdip.imaging._ssim import ssim as ssim
from jaxdip.imaging._write import write_image as write_image
