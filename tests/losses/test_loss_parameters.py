"""Parameters are numbers, data are checked at the door, and infinities stay in their lane."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip import losses

V = jnp.array([0.4, 0.9, 1.7, 0.2])
Y = jnp.array([0.1, 1.1, 1.2, 0.2])
FAMILIES = [
    (losses.MSE, [0.1, 0.5, 2.0]),
    (losses.Power, [0.0, 0.005, 0.3, 1.0]),
    (losses.Lq, [1.2, 2.0, 3.5]),
    (losses.Huber, [0.05, 0.3, 5.0]),
]


@pytest.mark.parametrize(("family", "values"), FAMILIES)
def test_batches_over_a_parameter(family, values):
    batch = eqx.filter_vmap(family)(jnp.asarray(values))
    found = eqx.filter_vmap(lambda loss: loss(V, Y))(batch)
    np.testing.assert_allclose(found, [family(x)(V, Y) for x in values], rtol=1e-14)

    @eqx.filter_jit
    def bound(loss):
        d = loss.desingularizer(Y)
        return jnp.stack([d.psi(0.3), d.psi_inv(0.3), d.Psi_inv(0.2 + d.Psi(0.3))])

    one_by_one = [bound(family(x)) for x in values]
    np.testing.assert_allclose(
        eqx.filter_jit(eqx.filter_vmap(bound))(batch), jnp.stack(one_by_one), rtol=1e-13
    )


def test_batches_over_softmax_delta_and_data():
    q = jnp.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])

    @jax.jit
    def radius(delta, q):
        return losses.SoftmaxCrossEntropy(delta).desingularizer(q).radius

    deltas = jnp.array([0.05, 0.1])
    found = jax.jit(jax.vmap(jax.vmap(radius, (None, 0)), (0, None)))(deltas, q)
    np.testing.assert_allclose(found, [[radius(d, one) for one in q] for d in deltas], rtol=1e-13)


@pytest.mark.parametrize(("family", "values"), FAMILIES)
def test_a_new_value_does_not_recompile(family, values):
    traces = []

    @eqx.filter_jit
    def both(loss, v, y):
        traces.append(1)
        return jax.value_and_grad(loss)(v, y), loss.desingularizer(y).Psi(0.5)

    for x in values:
        both(family(x), V, Y)
    assert len(traces) == 1


def test_power_zero_is_the_square():
    np.testing.assert_allclose(losses.Power(0.0)(V, Y), losses.MSE()(V, Y), rtol=1e-15)
    s = jnp.asarray([1e-9, 0.3, 40.0])
    square, power = losses.MSE().desingularizer(Y), losses.Power(0.0).desingularizer(Y)
    for name in ("psi", "dpsi", "psi_inv", "Psi", "Psi_inv"):
        np.testing.assert_allclose(getattr(power, name)(s), getattr(square, name)(s), rtol=1e-13)


@pytest.mark.parametrize("family", [losses.Power, losses.Lq])
def test_derivatives_at_zero_residual_are_finite(family):
    values = jnp.array([0.0, 1e-3, 1.0]) + (0.0 if family is losses.Power else 1.5)
    by_v = jax.vmap(lambda x: jax.grad(family(x))(Y, Y))(values)
    by_parameter = jax.vmap(jax.grad(lambda x: family(x)(Y, Y)))(values)
    np.testing.assert_array_equal(by_v, 0.0)
    np.testing.assert_array_equal(by_parameter, 0.0)


def test_loss_keeps_its_digits_next_to_the_data():
    t = 1e-9
    y = jnp.array([0.3, 0.5])
    step = (y * (1 + t) - y) / y
    expected = float(jnp.sum(y * step**2) / 2)
    np.testing.assert_allclose(losses.KullbackLeibler()(y * (1 + t), y), expected, rtol=1e-7)
    np.testing.assert_allclose(losses.ReverseKullbackLeibler()(y * (1 + t), y), expected, rtol=1e-7)
    r = jnp.array([1e-12, 3e-12])
    zero = jnp.zeros(2)
    np.testing.assert_allclose(losses.LogCosh()(r, zero), 5e-24, rtol=1e-12)


def test_robust_losses_do_not_overflow():
    far = jnp.array([1e300, -1e200])
    zero = jnp.zeros(2)
    assert losses.LogCosh()(far, zero) == 1e300
    assert losses.Huber(2.0)(far, zero) == 2e300
    np.testing.assert_array_equal(jax.grad(losses.LogCosh())(far, zero), [1.0, -1.0])
    # exp(-1000) is no double, but its logarithm is used
    q = jnp.array([0.5, 0.5])
    far = losses.SoftmaxCrossEntropy(0.1)(jnp.array([0.0, -1000.0]), q)
    np.testing.assert_allclose(far, 500.0 + np.log(0.5), rtol=1e-14)


POSITIVE = [losses.KullbackLeibler(), losses.ReverseKullbackLeibler()]


@pytest.mark.parametrize("loss", [*POSITIVE, losses.CrossEntropy()])
def test_infinite_outside_the_domain_with_a_finite_gradient(loss):
    y = jnp.array([0.2, 0.6])
    bad = [-0.1, 0.0, np.nan, np.inf, -np.inf]
    bad += [1.0, 1.2] if isinstance(loss, losses.CrossEntropy) else []
    lanes = jnp.array([[first, 0.5] for first in [*bad, 0.3]])
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss), (0, None)))(lanes, y)
    np.testing.assert_array_equal(value[:-1], np.inf)
    np.testing.assert_array_equal(gradient[:-1, 0], 0.0)
    # The entry inside the domain and the lane beside it have what they would have alone.
    alone, slope = jax.value_and_grad(loss)(lanes[-1], y)
    np.testing.assert_allclose(value[-1], alone, rtol=1e-15)
    np.testing.assert_allclose(gradient[-1], slope, rtol=1e-15)
    np.testing.assert_allclose(gradient[:, 1], slope[1], rtol=1e-15)


def test_cross_entropy_at_saturated_predictions_of_certain_targets():
    y = jnp.array([0.0, 1.0])
    assert losses.CrossEntropy()(y, y) == 0
    gradient = jax.grad(losses.CrossEntropy())(jnp.array([0.2, 0.9]), y)
    np.testing.assert_allclose(gradient, [1 / 0.8, -1 / 0.9], rtol=1e-14)
    assert losses.CrossEntropy()(1.0 - y, y) == np.inf


def test_softmax_radius_guarantees_its_condition(key):
    q, delta = jnp.array([0.15, 0.25, 0.6]), 0.04
    loss = losses.SoftmaxCrossEntropy(delta)
    radius = loss.desingularizer(q).radius
    v = 4.0 * jax.random.normal(key, (20_000, 3))
    values = jax.jit(jax.vmap(loss, (0, None)))(v, q)
    smallest = jnp.min(jax.nn.softmax(v), axis=-1)
    assert jnp.sum(values < radius) > 100
    assert jnp.all(smallest[values < radius] >= delta)
    # It is the largest such radius: the worst point has p = delta in one class.
    p = jnp.concatenate([jnp.array([delta]), (1 - delta) * q[1:] / (1 - q[0])])
    np.testing.assert_allclose(loss(jnp.log(p), q), radius, rtol=1e-12)


def test_softmax_with_certain_targets_has_no_desingularizer():
    loss, one_hot = losses.SoftmaxCrossEntropy(0.01), jnp.array([[0.0, 1.0, 0.0]])
    loss.check_data(one_hot)
    np.testing.assert_allclose(loss(jnp.zeros((1, 3)), one_hot), np.log(3), rtol=1e-14)
    with pytest.raises(ValueError, match=r"one-hot.*argmin is empty"):
        loss.desingularizer(one_hot)
    with pytest.raises(ValueError, match="take a smaller delta"):
        losses.SoftmaxCrossEntropy(0.3).desingularizer(jnp.array([0.2, 0.8]))
    # Traced targets cannot be refused, so the inequality is promised nowhere.
    assert jax.jit(lambda q: loss.desingularizer(q).radius)(one_hot) == 0


def test_smoothness_and_kinds():
    assert not losses.L1().smooth
    assert not losses.Lq(1.5).smooth
    assert losses.Lq(2.0).smooth
    assert eqx.filter_vmap(losses.Lq)(jnp.array([2.0, 3.0])).smooth
    assert not eqx.filter_vmap(losses.Lq)(jnp.array([1.9, 3.0])).smooth
    assert jax.jit(lambda q: jnp.asarray(losses.Lq(q).smooth))(3.0) == np.bool_(False)
    assert losses.MSE.takes_complex
    assert not losses.Lq.takes_complex


DATA_ERRORS = [
    (losses.MSE(), [1.0, np.nan], "finite, 1 of 2"),
    (losses.MSE(), [1, 2], "floating"),
    (losses.MSE(), np.zeros((0,)), "an entry"),
    (losses.Lq(3.0), [1.0 + 1j], "real data"),
    (losses.Huber(1.0), [np.inf, 0.0], "finite"),
    (losses.LogCosh(), [1j], "real data"),
    (losses.L1(), [np.nan], "finite"),
    (losses.Power(1.0), [np.nan], "finite"),
    (losses.KullbackLeibler(), [1.0, 0.0, -1.0], "positive, 2 of 3"),
    (losses.ReverseKullbackLeibler(), [1.0, 0.0], "positive, 1 of 2"),
    (losses.CrossEntropy(), [0.5, 1.5, -0.1], r"in \[0, 1\], 2 of 3"),
    (losses.SoftmaxCrossEntropy(0.1), [0.5, 0.6], "summing to 1"),
    (losses.SoftmaxCrossEntropy(0.1), [1.5, -0.5], r"in \[0, 1\]"),
    (losses.SoftmaxCrossEntropy(0.1), 1.0, "two classes"),
    (losses.WeightedMSE(np.ones(3)), [1.0, 2.0], "broadcast"),
    (losses.Mahalanobis(np.eye(3)), [1.0, 2.0], "one row an entry"),
]


@pytest.mark.parametrize(("loss", "y", "message"), DATA_ERRORS)
def test_check_data_says_what_is_wrong_in_one_line(loss, y, message):
    with pytest.raises(ValueError, match=message) as caught:
        loss.check_data(jnp.asarray(y))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.MSE(0.0), "positive"),
        (lambda: losses.MSE(jnp.ones(2)), "scalar"),
        (lambda: losses.Power(-0.1), "at least 0"),
        (lambda: losses.Lq(1.0), "above 1"),
        (lambda: losses.Lq(np.nan), "above 1"),
        (lambda: losses.Huber(-1.0), "positive"),
        (lambda: losses.SoftmaxCrossEntropy(0.5), "1/2"),
        (lambda: losses.WeightedMSE([1.0, 0.0]), "1 of 2"),
        (lambda: losses.Mahalanobis(np.ones((2, 3))), "square"),
        (lambda: losses.Mahalanobis(np.array([[1.0, 2.0], [0.0, 1.0]])), "Hermitian"),
        (lambda: losses.Mahalanobis(np.array([[1.0, 2.0], [2.0, 1.0]])), "positive definite"),
        (lambda: losses.Mahalanobis(np.array([[np.nan]])), "finite"),
    ],
)
def test_refuses_wrong_parameters(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_refuses_pairs_it_cannot_compare():
    with pytest.raises(ValueError, match=r"one shape, got \(4,\) and \(1,\)"):
        losses.MSE()(V, Y[:1])
    with pytest.raises(TypeError, match="complex"):
        losses.LogCosh()(V.astype(complex), Y.astype(complex))
    with pytest.raises(TypeError, match="complex"):
        losses.MSE(1j)
    with pytest.raises(TypeError, match=r"Q\.real"):
        losses.Mahalanobis(np.eye(4, dtype=complex))(V, Y)


def test_weights_broadcast():
    v, y = jnp.ones((2, 3)), jnp.zeros((2, 3))
    np.testing.assert_allclose(losses.WeightedMSE([1.0, 2.0, 3.0])(v, y), 6.0)
    np.testing.assert_allclose(losses.WeightedMSE(4.0)(v, y), 12.0)
