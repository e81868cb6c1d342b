"""Certificates of an image problem, and how a certificate is written down."""

import contextlib
from collections.abc import Sequence
from typing import Any

import jaxdip as jd
from jaxdip.cli._runs import Plan
from jaxdip.theory import Certificate, Inapplicable, ground


def certificates(names: Sequence[str], plan: Plan) -> dict[str, Certificate]:
    """The convergence theorem of each dynamics at the start, on the papers' ground."""
    kind = "network"
    # The ground is most of the work, and common to all. Where there is none, each theorem says why.
    with contextlib.suppress(Inapplicable):
        kind = ground(plan.problem, plan.generator, kind)
    return {
        name: jd.certify(plan.problem, plan.generator, dynamics=plan.dynamics(name), kind=kind)
        for name in names
    }


def certificate_record(certificate: Certificate) -> dict[str, Any]:
    """Verdict, conditions and numbers, for JSON."""
    conditions = [
        {
            "name": c.name,
            "left": float(c.left.value),
            "right": float(c.right.value),
            "holds": bool(c.holds),
            "margin": float(c.margin),
            "grade": c.grade,
        }
        for c in certificate.conditions
    ]
    numbers = {
        name: {"value": float(q.value), "evidence": q.evidence, "how": q.how}
        for name, q in certificate.numbers.items()
    }
    return {
        "theorem": certificate.theorem,
        "source": certificate.source,
        "verdict": certificate.verdict,
        "holds": bool(certificate.holds),
        "margin": float(certificate.margin),
        "conditions": conditions,
        "numbers": numbers,
    }
