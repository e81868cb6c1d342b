"""Do the singular values agree with PyTorch's `torch.func.jacrev` and its SVD?

The networks of this package with the same weights in PyTorch, float64, differentiated there in full
coordinates. Prints the largest difference of singular values, relative to the largest of them, for
every route. PyTorch is no dependency: `pip install torch` first.

    python -m benchmarks.torch_spectra
"""

import importlib
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import write  # noqa: E402

M, N, K, D = 12, 20, 60, 15


def generators(key) -> dict[str, jd.generators.AbstractGenerator]:
    """One of each network."""
    common = {"latent": D, "width": K, "out": N, "key": key}
    mlp = {"widths": (D, K, 40), "out": N, "key": key}
    return {
        "two-layer, W trains": jd.TwoLayer(**common),
        "two-layer, both train": jd.TwoLayer(**common, both=True, activation="tanh"),
        "two-layer, mean field": jd.TwoLayer(**common, scaling="mean-field"),
        "MLP of three layers": jd.MLP(**mlp, activation="softplus", ntk=True),
    }


def in_torch(torch: Any, generator, u: Any) -> tuple[Callable, tuple]:
    """The network as a function of what it trains, and its weights, in PyTorch."""
    name = generator.activation.name
    phi = {"softplus": torch.nn.functional.softplus}.get(name) or getattr(torch, name)
    if isinstance(generator, jd.TwoLayer):
        W, V = (torch.tensor(np.array(x)) for x in (generator.W, generator.V))
        if generator.both:
            return lambda W, V: V @ phi(W @ u) * generator.factor, (W, V)
        return lambda W: V @ phi(W @ u) * generator.factor, (W,)

    def network(*weights):
        x = u
        for W, scale in zip(weights[:-1], generator.scales[:-1], strict=True):
            x = phi(scale * (W @ x))
        return generator.scales[-1] * (weights[-1] @ x)

    return network, tuple(torch.tensor(np.array(W)) for W in generator.weights)


def reference(torch: Any, problem: jd.Problem, generator, A: Any) -> np.ndarray:
    """Singular values by PyTorch."""
    network, weights = in_torch(torch, generator, torch.tensor(np.array(problem.u)))
    blocks = torch.func.jacrev(network, argnums=tuple(range(len(weights))))(*weights)
    J = torch.cat([block.reshape(N, -1) for block in blocks], dim=1)
    if A is not None:
        J = torch.tensor(np.array(A.matrix())) @ J
    return torch.linalg.svdvals(J).numpy()


def main():
    """Prints one line for each network, Jacobian and route."""
    torch = importlib.import_module("torch")
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=M, n=N, key=key)
    y = A(jax.random.normal(key, (N,)))
    u = 1.5 * jd.on_sphere(D, key=key)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    rows = []
    for name, generator in generators(key).items():
        for of in ("J", "AJ"):
            true = reference(torch, problem, generator, A if of == "AJ" else None)
            for method in ("closed form", "dense", "krylov"):
                if method == "closed form" and isinstance(generator, jd.MLP):
                    continue
                found = np.asarray(jd.spectrum(problem, generator, of=of, method=method).values)
                difference = float(np.max(np.abs(found - true)) / true[0])
                last = float(abs(found[-1] - true[-1]) / true[-1])
                rows.append(
                    {
                        "network": name,
                        "of": of,
                        "method": method,
                        "difference": difference,
                        "relative_difference_of_sigma_min": last,
                    }
                )
                print(
                    f"{name:22s} {of:2s} by {method:11s}: {difference:.1e} of sigma_max, "
                    f"sigma_min {last:.1e} relative"
                )
    result = {"benchmark": "torch_spectra", "torch": torch.__version__, "rows": rows}
    print(write("torch_spectra", result))


if __name__ == "__main__":
    main()
