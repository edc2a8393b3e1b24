"""The affine coupling on a GPU: one kernel each for y, x, and the gradients."""

from __future__ import annotations

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import positions, sum_per_sample
from glowlite.bijectors.affine_coupling import AffineCoupling
from glowlite.fast.cuda.coupling import CudaCoupling, planes_like, run_kernel


class CudaAffineCoupling(CudaCoupling, AffineCoupling):
    """An AffineCoupling with the same parameters; see there."""

    computed_together = True  # together with the other steps of a level

    def transform(self, x: Array, net_output: Array) -> tuple[Array, Array]:
        y, log_s = planes_like(x), planes_like(x[..., : self.channels // 2])
        self._run("forward", x, x, net_output, y, log_s)
        return y, sum_per_sample(log_s)

    def transform_inverse(self, y: Array, net_output: Array) -> Array:
        x = planes_like(y)
        self._run("inverse", y, y, net_output, x)
        return x

    def transform_backward(
        self, y: Array, net_output: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        rebuilt, dx, dnet_output = planes_like(y), planes_like(y), planes_like(net_output)
        self._run("backward", y, y, net_output, dy, dlogdet, rebuilt, dx, dnet_output)
        return rebuilt if x is None else x, dx, dnet_output

    def _run(self, which: str, like: Array, *arguments: Array) -> None:
        numbers: list[float] = [float(self.bound)]
        if which == "backward":
            numbers.append(positions(like))
        name = f"affine_{self.scale}_{self.shift}_{which}"
        kernel = affine_kernel(self.scale, self.shift, which)
        run_kernel(self, name, kernel, like, *arguments, *numbers)


# log s, then d log s / dh
LOG_SCALE = {
    "exp": ("h", "T(1)"),
    "sigmoid": ("fmin(h + T(2), T(0)) - log1p(exp(-fabs(h + T(2))))", "-expm1(log_s)"),
    "bounded": (
        "T(0.63661977236758134) * T(bound) * atan(h / T(bound))",
        "T(0.63661977236758134) / (T(1) + (h / T(bound)) * (h / T(bound)))",
    ),
}
FORWARD = (
    "const T* x, const T* net_output, T* y, T* log_scale, const double bound",
    """
  y[stays] = x[stays];
  y[changes] = {y2};
  log_scale[i] = log_s;
""",
)
INVERSE = (
    "const T* y, const T* net_output, T* x, const double bound",
    """
  x[stays] = y[stays];
  x[changes] = {x2};
""",
)
BACKWARD = (
    "const T* y, const T* net_output, const T* dy, const double* dlogdet, T* x, T* dx, T*"
    " dnet_output, const double bound, const int area",
    """
  const T x2 = {x2}, dy2 = dy[changes], dx2 = dy2 * s;
  const T dlog_s = {dlog_s} + T(dlogdet[p / area]);
  x[stays] = y[stays];
  x[changes] = x2;
  dx[stays] = dy[stays];
  dx[changes] = dx2;
  dnet_output[2 * a * pixels + p] = {dt};
  dnet_output[(2 * a + 1) * pixels + p] = dlog_s * ({slope});
""",
)
SHIFT = {
    "before": {
        "y2": "(x[changes] + t) *"
              " s", "x2": "y[changes] / s - t", "dt": "dx2", "dlog_s": "dy2 * y[changes]",
    },
    "after": {
        "y2": "x[changes] * s + t", "x2": "(y[changes] - t) / s", "dt": "dy2", "dlog_s": "dx2 * x2",
    },
}  # fmt: skip


def affine_kernel(scale: str, shift: str, which: str) -> tuple[str, str]:
    """Return parameters and body of the kernel `forward`, `inverse` or `backward`."""
    parameters, body = {"forward": FORWARD, "inverse": INVERSE, "backward": BACKWARD}[which]
    log_scale, slope = LOG_SCALE[scale]
    begin = f"""
  const T t = net_output[2 * a * pixels + p], h = net_output[(2 * a + 1) * pixels + p];
  const T log_s = {log_scale}, s = exp(log_s);
"""
    return parameters, begin + body.format(slope=slope, **SHIFT[shift])
