"""Do singular values agree with PyTorch's `torch.func.jacrev` and its SVD, and at what cost?

The networks of this package with the same weights in PyTorch, float64, differentiated there in full
coordinates. Prints the largest difference of singular values, relative to the largest of them, for
every route; the benchmark fails where it is more than 1e-12, or 1e-6 of σ_min. Then seconds, warm,
in turn, of all singular values of J_g for a two-layer network (n = 256, k = 1000, d = 100: W in
10^5 numbers) and for an MLP of three layers (n = 256, k = 300), PyTorch's Jacobian in chunks of 64
rows, its `svdvals`, both with the threads that they take by themselves. `--quick` divides n by 4.
PyTorch is no dependency: `pip install -e '.[peers]'`.

    python -m benchmarks.torch_spectra

Its last output (2 quiet cores, JAX 0.10.2, PyTorch 2.13, November 2026): all routes agree to 2e-15
of σ_max; two-layer 0.042 s against PyTorch's 0.92 s, 22 times as fast; MLP 1.51 s against 2.43 s,
1.6 times.
"""

from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import interleaved, peer, quick_asked, summary, write  # noqa: E402

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
    J = jacobian_in_torch(torch, network, weights, None)
    if A is not None:
        J = torch.tensor(np.array(A.matrix())) @ J
    return torch.linalg.svdvals(J).numpy()


def jacobian_in_torch(torch: Any, network: Callable, weights: tuple, chunk: int | None) -> Any:
    """The Jacobian in all weights, rows first."""
    every = tuple(range(len(weights)))
    blocks = torch.func.jacrev(network, argnums=every, chunk_size=chunk)(*weights)
    return torch.cat([block.reshape(block.shape[0], -1) for block in blocks], dim=1)


def costs(torch: Any, n: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds of all singular values of J_g, ours and PyTorch's, and σ_min of both."""
    key, d = jax.random.key(1), 100
    u = jd.on_sphere(d, key=key)
    problem = jd.Problem(
        u=u, operator=jd.operators.Identity(n), loss=jd.losses.MSE(), y=jax.numpy.zeros(n)
    )
    networks = {
        "two-layer": jd.TwoLayer(latent=d, width=1000, out=n, key=key),
        "MLP": jd.MLP(widths=(d, 300, 300), out=n, key=key, activation="softplus", ntk=True),
    }
    rows = []
    for name, generator in networks.items():
        network, weights = in_torch(torch, generator, torch.tensor(np.array(u)))

        def theirs(network=network, weights=weights):
            return torch.linalg.svdvals(jacobian_in_torch(torch, network, weights, 64))

        def ours(generator=generator):
            return jd.spectrum(problem, generator, of="J").values

        seconds = interleaved({"jaxdip": ours, "torch": theirs}, repeats)
        own, true = np.asarray(ours()), theirs().numpy()
        row = {
            "network": name,
            "n": n,
            "seconds": {who: summary(taken) for who, taken in seconds.items()},
            "sigma_min_differs_by": float(abs(own[-1] - true[-1]) / true[-1]),
        }
        row["ratio"] = row["seconds"]["torch"]["median"] / row["seconds"]["jaxdip"]["median"]
        rows.append(row)
        print(
            f"{name}, n = {n}: torch {row['seconds']['torch']['median']:.3f} s, jaxdip "
            f"{row['seconds']['jaxdip']['median']:.3f} s, ratio {row['ratio']:.1f}, sigma_min "
            f"differs by {row['sigma_min_differs_by']:.1e}"
        )
    return rows


def main():
    """Prints one line for each network, Jacobian and route, then the costs."""
    quick = quick_asked("Singular values beside PyTorch's.", "n divided by four")
    torch = peer("torch")
    if torch is None:
        print(write("torch_spectra", {"benchmark": "torch_spectra", "ratios": {}}, quick=quick))
        return
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
    worst = max(row["difference"] for row in rows)
    worst_last = max(row["relative_difference_of_sigma_min"] for row in rows)
    if not (worst < 1e-12 and worst_last < 1e-6):
        raise SystemExit(f"differs from PyTorch: {worst:.1e} of sigma_max, {worst_last:.1e}")
    paid = costs(torch, 64 if quick else 256, 3 if quick else 7)
    ratios = {f"torch / jaxdip, seconds, {row['network']}": row["ratio"] for row in paid}
    ratios["largest difference / sigma_max"] = worst
    result = {"benchmark": "torch_spectra", "ratios": ratios, "rows": rows, "costs": paid}
    print(write("torch_spectra", result, quick=quick))


if __name__ == "__main__":
    main()
