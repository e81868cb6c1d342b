"""The papers' experiment as one trial: a two-layer network with V fixed, in reduced coordinates."""

import dataclasses
import math
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Bool, Float, Int, Key
from jaxdip.generators import ACTIVATIONS
from jaxdip.sweeps import AbstractPaddedTrial
from jaxdip.sweeps._trial import Point
from jaxdip.trials._activation_form import activation_form
from jaxdip.trials._buckets import beginning_rows, beginning_width
from jaxdip.trials._result_codes import RESULT_CODES
from jaxdip.trials._two_layer_data import Data, draw
from jaxdip.trials._two_layer_point import Numbers, Program, numbers_of, program_of

#: The loss at which a trial counts as diverged, in units of max(L(0), 1).
_DIVERGED = 1e6
#: Up to this many rows, Mᵀc written out is fused with the update; beyond, a product is faster.
_WRITTEN_OUT = 8
_HIGHEST = jax.lax.Precision.HIGHEST


class TwoLayerTrial(AbstractPaddedTrial):
    """One trial of the papers' experiment: recover x̄ from y = A x̄ + ε by x = V φ(W u)/√k.

    V is fixed, W is trained from iid N(0, 1) entries, ‖u‖ = 1. With z = W u (k numbers, N(0, 1) at
    the start) and M = A V/√k the prediction is M φ(z), and gradient descent on W is

        z ← z − γ φ'(z) ∘ Mᵀ∇L(M φ(z)),

    exactly: W moves in z uᵀ only, so its other coordinates and d do not enter. IGAHD, with the
    gradient at θ_ℓ, reduces likewise. An iteration passes once over z and φ(z); sizes are padded to
    `width_bucket` and `rows_bucket`, which changes last bits only, so that cells share programs.

    A point holds, as numbers or axes:

    | key | what | default |
    |---|---|---|
    | n, m, k | sizes of the signal, of the data, of the hidden layer | required |
    | d | the latent dimension, which does not enter | |
    | noise | standard deviation of each entry of ε ~ N(0, noise²) | 0 |
    | step | c in γ = c/L, or s = c/L | 1 |
    | step_size | γ, or s, itself; instead of `step` | |
    | p | loss ‖r‖^{2(p+1)}/(2(p+1)), as `losses.Power`; 0 is ½‖r‖² | 0 |
    | dynamics | 'gd' or 'igahd' | 'gd' |
    | alpha | of IGAHD | min(μ, 1/(4√s)), μ = σ_min(A J_g(θ0)) |
    | beta | of IGAHD | √s |
    | tolerance | end where the loss is at most this | 1e-14 (float64) |
    | steps | end after so many steps | 100 000 |
    | activation | a name in `generators.ACTIVATIONS` | 'sigmoid' |
    | operator | 'gaussian': A with iid N(0, 1) entries | 'gaussian' |
    | output_law | of V, as in `TwoLayer` | 'rademacher' |
    | dtype | 'float32' or 'float64' | JAX's default float |

    L bounds the Lipschitz constant of ∇f on {f ≤ f(θ0)}, for p = 0 by the formula of
    `gradient_lipschitz`:

        L = (2p+1)‖r₀‖^{2p} (sup|φ'|)² ‖M‖² + ‖r₀‖^{2p+1} Lip(φ') max_i‖M_i‖.

    In float32 the default tolerance is the loss of a residual twenty times what rounding leaves.
    Every datum is a plain draw from the trial's key: x̄ = normal(key_for(key, 'signal'), (n,)),
    likewise z0 by 'init' and ε by 'noise'; row i of A and of V from fold_in(key_for(key, purpose),
    i), by 'operator' and 'output'. So the same trial has the same data at every m, k and n, as far
    as they go; float32 and float64 have different ones.

    Outcomes: 'result', see `RESULT_CODES`; 'converged'; 'steps'; 'loss' and 'loss0', at the end and
    the start; 'error' ‖x − x̄‖/‖x̄‖; 'distance' ‖z − z0‖ = ‖W − W0‖. All are finite: a trial whose
    data are not diverges at step 0, as does one whose next step could exceed the square root of the
    largest number; what overflowed is given as the largest number.

    Reference: the numerical experiments of arXiv 2403.05395.
    """

    def program(self, point: Point) -> "Program":
        """The padded sizes, and what is chosen by name.

        Raises:
            TypeError, ValueError: if a key is unknown or missing, or its value is of no use.
        """
        return program_of(point)

    def numbers(self, point: Point) -> "Numbers":
        """The sizes and hyperparameters as arrays without dimensions.

        Raises:
            TypeError, ValueError: if a key is unknown or missing, or its value is of no use.
        """
        return numbers_of(point)

    def beginning(self, program: Hashable) -> "Program":
        """One of fewer sizes: draws take three times as long to compile as the loop."""
        assert isinstance(program, Program)
        return dataclasses.replace(
            program,
            width=beginning_width(program.width),
            observations=beginning_rows(program.observations),
            entries=beginning_rows(program.entries),
        )

    def cut(self, program: Hashable, state: "State") -> "State":
        """Drops padding."""
        assert isinstance(program, Program)
        sizes = {"m": program.observations, "n": program.entries, "K": program.width}

        def part(held: Any) -> Any:
            kept = {name: getattr(held, name) for name in _AXES if name in held._fields}
            return held._replace(
                **{
                    name: x[tuple(slice(sizes[axis]) for axis in _AXES[name])]
                    for name, x in kept.items()
                    if x is not None
                }
            )

        return part(state._replace(fixed=part(state.fixed)))

    def begin(self, key: Key, program: Hashable, numbers: "Numbers") -> "State":
        """Draws the trial and evaluates the loss at its start."""
        assert isinstance(program, Program)
        data = draw(key, program, numbers)
        form = activation_form(program.activation)
        # φ = shift + scale f: descent sees f, the matrix scale·M and the data y − shift·M 1.
        matrix = form.scale * data.M
        target = data.y - form.shift * jnp.sum(data.M, axis=1)
        feature, memory = form.evaluate(data.z)
        residual = _times(matrix, feature) - target
        loss, slope = _loss(program, numbers.p, residual)
        L = _lipschitz(program, numbers.p, data.M, residual)
        step = numbers.step if program.absolute else numbers.step / L
        a, b = _momentum(program, numbers, data, step)
        fixed = Fixed(
            matrix=matrix,
            target=target,
            V=data.V,
            signal=data.signal,
            z0=data.z,
            step=step,
            a=a,
            b=b,
            p=numbers.p,
            tolerance=numbers.tolerance,
            bound=_bound(program, numbers.p, data, step + b, loss),
            limit=numbers.steps,
            loss0=loss,
        )
        momentum = None
        if program.dynamics == "igahd":
            # As IGAHD remembers it: w_0 = b∇f(θ_0).
            momentum = b * (form.slope(memory) * _transposed(matrix, slope))
        steps = jnp.zeros((), jnp.int32)
        return State(data.z, memory, momentum, slope, loss, steps, fixed)

    def running(self, state: "State") -> Bool[Array, ""]:
        """The loss is above the tolerance and has not diverged, and steps are left."""
        fixed = state.fixed
        # NaN compares false, so a poisoned trial stops.
        going = (state.loss > fixed.tolerance) & (state.loss < fixed.bound)
        return going & (state.steps < fixed.limit)

    def step(self, program: Hashable, state: "State") -> "State":
        """Moves z against the gradient that the last product left, and multiplies once more."""
        assert isinstance(program, Program)
        fixed, form = state.fixed, activation_form(program.activation)
        local = form.slope(state.memory)
        if program.dynamics == "gd":
            z = state.z - local * _transposed(fixed.matrix, fixed.step * state.slope)
            momentum = None
        else:
            g = local * _transposed(fixed.matrix, state.slope)
            a, b, s = fixed.a, fixed.b, fixed.step
            assert state.momentum is not None
            # One array at first: as two, each would overwrite what the other reads, so XLA copies.
            z, momentum = jax.lax.optimization_barrier(
                jnp.stack(
                    [
                        state.z + (state.momentum - (b + s) * g),
                        a * state.momentum + (b - a * (b + s)) * g,
                    ]
                )
            )
        feature, memory = form.evaluate(z)
        loss, slope = _loss(program, fixed.p, _times(fixed.matrix, feature) - fixed.target)
        return State(z, memory, momentum, slope, loss, state.steps + 1, fixed)

    def outcome(self, program: Hashable, state: "State") -> dict[str, Array]:
        """What became of the trial."""
        assert isinstance(program, Program)
        fixed = state.fixed
        healthy = jnp.all(jnp.isfinite(state.z)) & (fixed.bound > 0)
        converged = healthy & (state.loss <= fixed.tolerance)
        within = healthy & (state.loss < fixed.bound)
        code = jnp.where(within, RESULT_CODES["out_of_steps"], RESULT_CODES["diverged"])
        code = jnp.where(converged, RESULT_CODES["converged"], code)
        phi = ACTIVATIONS[program.activation]
        error = jnp.linalg.norm(_times(fixed.V, phi(state.z)) - fixed.signal)
        values = {
            "loss": state.loss,
            "loss0": fixed.loss0,
            "error": error / jnp.linalg.norm(fixed.signal),
            "distance": jnp.linalg.norm(state.z - fixed.z0),
        }
        return {
            "result": code.astype(jnp.int8),
            "converged": converged,
            "steps": state.steps,
            **{name: _finite(x) for name, x in values.items()},
        }


class Fixed(NamedTuple):
    """What of a trial does not change.

    Attributes:
        matrix, target: M and y of the network whose activation is f, see `ActivationForm`.
        V, signal, z0: V/√k, x̄ and z0, for the outcome.
        step: γ, or s.
        a, b: 1 − α√s and β√s; 0 for gradient descent.
        p, tolerance: as in the point.
        bound: the loss from which on the trial has diverged; 0 if its data are not finite.
        limit: how many steps at most.
        loss0: the first loss.
    """

    matrix: Float[Array, "m K"]
    target: Float[Array, " m"]
    V: Float[Array, "n K"]
    signal: Float[Array, " n"]
    z0: Float[Array, " K"]
    step: Float[Array, ""]
    a: Float[Array, ""]
    b: Float[Array, ""]
    p: Float[Array, ""]
    tolerance: Float[Array, ""]
    bound: Float[Array, ""]
    limit: Int[Array, ""]
    loss0: Float[Array, ""]


class State(NamedTuple):
    """Where a trial stands.

    Attributes:
        z: W u.
        memory: what φ'(z) is made of.
        momentum: w of IGAHD.
        slope: ∇L at the prediction.
        loss: L.
        steps: how many were made.
        fixed: the trial's data.
    """

    z: Float[Array, " K"]
    memory: Float[Array, " K"]
    momentum: Float[Array, " K"] | None
    slope: Float[Array, " m"]
    loss: Float[Array, ""]
    steps: Int[Array, ""]
    fixed: Fixed


#: The padded axes of what a state holds.
_AXES: Mapping[str, str] = MappingProxyType(
    {
        "z": "K",
        "memory": "K",
        "momentum": "K",
        "slope": "m",
        "matrix": "mK",
        "target": "m",
        "V": "nK",
        "signal": "n",
        "z0": "K",
    }
)


def _times(M: Float[Array, "m K"], a: Float[Array, " K"]) -> Float[Array, " m"]:
    return jnp.matmul(M, a, precision=_HIGHEST)


def _transposed(M: Float[Array, "m K"], c: Float[Array, " m"]) -> Float[Array, " K"]:
    """Mᵀ c."""
    if M.shape[0] > _WRITTEN_OUT:
        return jnp.matmul(c, M, precision=_HIGHEST)
    total = c[0] * M[0]
    for i in range(1, M.shape[0]):
        total = total + c[i] * M[i]
    return total


def _loss(
    program: Program, p: Float[Array, ""], r: Float[Array, " m"]
) -> tuple[Float[Array, ""], Float[Array, " m"]]:
    """‖r‖^{2(p+1)}/(2(p+1)) and its gradient ‖r‖^{2p} r."""
    square = jnp.sum(r * r)
    if program.squares:
        return 0.5 * square, r
    power = square**p
    return power * square / (2.0 * (p + 1.0)), power * r


def _residual_of(p: Array, loss: Array) -> Array:
    """‖r‖ at a loss: ψ."""
    double = 2.0 * (p + 1.0)
    return (double * loss) ** (1.0 / double)


def _lipschitz(
    program: Program, p: Array, M: Float[Array, "m K"], r: Float[Array, " m"]
) -> Float[Array, ""]:
    """L, see the class."""
    phi = ACTIVATIONS[program.activation]
    largest = jnp.linalg.eigvalsh(jnp.matmul(M, M.T, precision=_HIGHEST))[-1]
    residual = jnp.linalg.norm(r)
    power = residual ** (2.0 * p)
    straight = (2.0 * p + 1.0) * power * phi.sup_slope**2 * largest
    return straight + power * residual * phi.lip_slope * _longest_column(M)


def _longest_column(M: Float[Array, "m K"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.max(jnp.sum(M * M, axis=0)))


def _momentum(
    program: Program, numbers: Numbers, data: Data, s: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """1 − α√s and β√s, or zeros."""
    if program.dynamics == "gd":
        return jnp.zeros_like(s), jnp.zeros_like(s)
    h = jnp.sqrt(s)
    alpha = numbers.alpha
    if not program.damped:
        alpha = jnp.minimum(_mu(program, data), 0.25 / h)
    beta = jnp.where(numbers.beta < 0, h, numbers.beta)
    return 1.0 - alpha * h, beta * h


def _mu(program: Program, data: Data) -> Float[Array, ""]:
    """The smallest non-zero singular value of A J_g(θ0) = M diag(φ'(z0))."""
    phi = ACTIVATIONS[program.activation]
    slope = jax.jvp(phi, (data.z,), (jnp.ones_like(data.z),))[1]
    values = jnp.linalg.svd(data.M * slope, full_matrices=False, compute_uv=False)
    threshold = values[0] * (program.width * float(jnp.finfo(values.dtype).eps))
    return jnp.min(jnp.where(values > threshold, values, jnp.inf))


def _bound(
    program: Program, p: Array, data: Data, reach: Float[Array, ""], loss: Float[Array, ""]
) -> Float[Array, ""]:
    """The loss from which on a trial has diverged.

    A step moves no entry of z by more than reach·sup|φ'|·max_i‖M_i‖·‖∇L‖ (plus momentum), so
    below the bound it stays so far from overflow that z is finite after any number of steps, and
    the loop need not look.
    """
    largest = math.sqrt(float(jnp.finfo(loss.dtype).max))
    sup = ACTIVATIONS[program.activation].sup_slope
    gradient = largest / (reach * sup * _longest_column(data.M))
    # ‖∇L‖ = ‖r‖^{2p+1} and L = ‖r‖^{2(p+1)}/(2(p+1)).
    overflow = gradient ** ((2.0 * p + 2.0) / (2.0 * p + 1.0)) / (2.0 * (p + 1.0))
    bound = jnp.minimum(_DIVERGED * jnp.maximum(loss, 1.0), overflow)
    finite = jnp.isfinite(reach) & jnp.isfinite(loss)
    for x in data:
        finite &= jnp.all(jnp.isfinite(x))
    return jnp.where(finite, bound, 0.0)


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isfinite(x), x, jnp.finfo(x.dtype).max)
