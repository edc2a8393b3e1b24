"""Small flows of JAX, y = e^s x + t as functions: one that is right, and some with a bug. Each is
made from a seed, as (forward, inverse, params).
"""

import jax
import jax.numpy as jnp
import numpy as np


def forward(p, x):
    return x * jnp.exp(p["s"]) + p["t"], p["s"].sum()


def inverse(p, y):
    return (y - p["t"]) * jnp.exp(-p["s"]), jnp.full(len(y), -p["s"].sum())


def params(seed):
    s, t = np.random.default_rng(seed).standard_normal((2, 2))
    return {"s": s, "t": t}


def right(seed):
    return forward, inverse, params(seed)


def compiled(seed):
    return jax.jit(forward), jax.jit(inverse), params(seed)


def wrong_sign(seed):
    return forward, lambda p, y: (inverse(p, y)[0], p["s"].sum()), params(seed)


def not_in_params(seed):
    more = jnp.array(np.random.default_rng([seed, 1]).standard_normal(2))
    return (
        lambda p, x: (forward(p, x)[0] + more, p["s"].sum()),
        lambda p, y: inverse(p, y - more),
        params(seed),
    )


def detached_inverse(seed):
    return forward, lambda p, y: inverse(jax.lax.stop_gradient(p), y), params(seed)


def detached_logdet(seed):
    return (
        lambda p, x: (forward(p, x)[0], jax.lax.stop_gradient(p["s"].sum())),
        inverse,
        params(seed),
    )


def stale(seed):
    kept = []

    def back(p, y):
        if not kept:
            kept.append(np.exp(-np.asarray(jax.lax.stop_gradient(p["s"]))))
        return (y - p["t"]) * kept[0], jnp.full(len(y), -p["s"].sum())

    return forward, back, params(seed)


def logdet_of_each_entry(seed):
    return (
        lambda p, x: (forward(p, x)[0], jnp.broadcast_to(p["s"], x.shape)),
        inverse,
        params(seed),
    )


def logdet_in_float32(seed):
    return (
        lambda p, x: (forward(p, x)[0], jnp.full(len(x), p["s"].sum(), jnp.float32)),
        inverse,
        params(seed),
    )


@jax.custom_vjp
def scaled(x, s):
    return x * jnp.exp(s)


def _scaled(x, s):
    return scaled(x, s), (x, s)


def _pulled_back(kept, dy):
    x, s = kept
    return dy * jnp.exp(s), (dy * x).sum(axis=0)  # e^s forgotten


scaled.defvjp(_scaled, _pulled_back)


def gradient_by_hand(seed):
    return lambda p, x: (scaled(x, p["s"]) + p["t"], p["s"].sum()), inverse, params(seed)
