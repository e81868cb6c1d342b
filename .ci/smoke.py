"""Does an installed jaxdip work, from outside its source? `python -I` adds no path."""

import importlib.metadata
import importlib.util
import pathlib
import sys

import jaxdip as jd

# First of all: what the import brought.
HEAVY = {"matplotlib", "zarr", "skimage", "tyro"}
brought = HEAVY & set(sys.modules)
assert not brought, f"import jaxdip brought {brought}"
absent = {name for name in HEAVY - {"skimage"} if importlib.util.find_spec(name) is None}
assert not absent, f"{absent} are dependencies and not installed"

here = pathlib.Path(jd.__file__).parent
assert here.is_relative_to(sys.prefix), f"{here} is not of this environment"
assert (here / "py.typed").is_file()
assert jd.__version__ == importlib.metadata.version("jaxdip")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

key = jax.random.key(0)
A = jd.operators.Gaussian(m=2, n=3, key=key)
g = jd.TwoLayer(latent=4, width=50, out=3, key=key)
problem = jd.Problem(u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=A(jnp.ones(3)))
steps = jd.iterate(problem, jd.GradientDescent(), g, 200)
assert float(steps.loss[-1]) < 0.5 * float(steps.loss[0])
assert jd.certify(problem, g, dynamics=jd.GradientFlow()).verdict

if importlib.util.find_spec("skimage") is None:
    said = ""
    try:
        jd.imaging.named_image("camera")
    except ImportError as error:
        said = str(error)
    assert "jaxdip[images]" in said, "an image without its extra"
else:
    assert jd.imaging.named_image("camera").gray.shape == (512, 512)

versions = {name: importlib.metadata.version(name) for name in ("jaxdip", "jax", "diffrax")}
print(f"python {sys.version.partition(' ')[0]}, {versions}")
