"""Optimizers that torch lacks: finite differences, a cautious LBFGS, and the bounded methods of scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .._errors import ParameterError
from .._param import Param

Closure = Callable[[], Any]


class FiniteDifference(torch.optim.Optimizer):
    """Gradients from differences of the loss, for layers that have none (spikes); another optimizer takes the steps.

    Each element of each parameter is moved up and down by `step` of its size, so a step costs 2 n + 1 evaluations for n
    elements. Where a range stops the movement, the difference is over what was left of it.

    Args:
        params: parameters, or groups of them as for torch.
        lr: learning rate of the other optimizer.
        step: of the difference, relative to the size of the element.
        least: of the difference, absolute; for elements near 0.
        optimizer: class of the optimizer that takes the steps.
        options: further options of it.
    Raises: ParameterError.
    Reference: Nocedal & Wright, Numerical Optimization (2006), sec. 8.1, central differences.

    >>> import torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> optimizer = FiniteDifference([x], lr=0.25, optimizer=torch.optim.SGD)
    >>> _ = optimizer.step(lambda: ((x - 1) ** 2).sum())
    >>> round(x.item(), 3)  # the gradient of (x - 1)^2 at 3 is 4
    2.0
    """

    needs_gradient = False

    def __init__(self, params: Any, lr: float = 0.01, *, step: float = 1e-2, least: float = 1e-4,
                 optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam, **options: Any) -> None:
        for name, value in (("step", step), ("least", least)):
            if not 0 < value < float("inf"):
                raise ParameterError("FiniteDifference", name, "must lie in (0, inf)", value)
        super().__init__(params, {"lr": lr, "step": step, "least": least})
        self.inner = optimizer(self.param_groups, lr=lr, **options)
        self.param_groups = self.inner.param_groups  # a scheduler changes the learning rate of both
        self.state = self.inner.state

    @torch.no_grad()
    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """One step. The closure returns the loss; it need not go backward. Returns: the loss before the step."""
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                gradient = torch.zeros_like(p)
                flat, into = p.view(-1), gradient.view(-1)
                for i in range(flat.numel()):
                    old = flat[i].clone()
                    move = group["step"] * max(abs(float(old)), group["least"] / group["step"])
                    ends = []
                    for sign in (1, -1):
                        flat[i] = old + sign * move
                        value = number(closure())
                        ends.append((float(flat[i]), value))  # a closure that keeps ranges may have moved it back
                        flat[i] = old
                    (high, above), (low, below) = ends
                    into[i] = (above - below) / (high - low) if high != low else 0.0
                p.grad = gradient
        self.inner.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes `state_dict`, as torch's; the moments are those of the optimizer that takes the steps."""
        self.inner.load_state_dict(state_dict)
        self.param_groups, self.state = self.inner.param_groups, self.inner.state

    def state_dict(self) -> dict[str, Any]:
        """As torch's."""
        return self.inner.state_dict()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "inner": self.inner}


class CautiousLBFGS(torch.optim.LBFGS):
    """LBFGS that takes a step back when the loss has risen (or is lost), and then goes on more carefully.

    After a rise the parameters are those before the step, what was learned of the curvature is forgotten and the learning
    rate is multiplied by `caution`; a step that succeeds brings it back towards `lr` by the same factor.

    Args:
        params, lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size, line_search_fn: as for
            torch.optim.LBFGS.
        caution: between 0 and 1.
    Raises: ParameterError.
    Reference: convis, `CautiousLBFGS`; Nocedal & Wright, Numerical Optimization (2006), algorithm 7.5.

    >>> import torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> optimizer = CautiousLBFGS([x], lr=1.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> round(x.item(), 3)
    1.0
    """

    accepts_lost_loss = True

    def __init__(self, params: Any, lr: float = 1.0, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None, *, caution: float = 0.5) -> None:
        if not 0 < caution < 1:
            raise ParameterError("CautiousLBFGS", "caution", "must lie in (0, 1)", caution)
        super().__init__(params, lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size, line_search_fn)
        self.param_groups[0].setdefault("caution", caution)
        self.param_groups[0].setdefault("full_lr", lr)

    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """One step. Returns: the loss before it."""
        group = self.param_groups[0]
        before = [p.detach().clone() for p in group["params"]]
        first = super().step(closure)
        with torch.enable_grad():
            after = number(closure())
        if after <= number(first):
            group["lr"] = min(group["lr"] / group["caution"], group["full_lr"])
            return first
        with torch.no_grad():
            for p, old in zip(group["params"], before, strict=True):
                p.copy_(old)
        self.state.clear()
        group["lr"] *= group["caution"]
        return first


class Scipy(torch.optim.Optimizer):
    """A method of `scipy.optimize.minimize`, with the declared ranges of the parameters as bounds.

    One step runs the method to its end, or for `max_iter` iterations; it keeps nothing from step to step.

    Args:
        params: the parameters.
        method: "L-BFGS-B", "SLSQP" or "trust-constr" with gradients, "Powell" or "COBYLA" without.
        max_iter: of one step.
        options: further `options` of the method, such as `gtol`.
    Raises: ParameterError.
    Reference: Byrd, Lu, Nocedal & Zhu, SIAM J Sci Comput 16:1190 (1995), for L-BFGS-B; the others in scipy's documentation.

    >>> import torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> def closure():
    ...     loss = ((x - 1) ** 2).sum()
    ...     x.grad = None
    ...     loss.backward()
    ...     return loss
    >>> _ = Scipy([x]).step(closure)
    >>> round(x.item(), 3), Scipy([x], method="Powell").needs_gradient
    (1.0, False)
    """

    accepts_lost_loss = True
    WITH_GRADIENT = ("L-BFGS-B", "SLSQP", "trust-constr")
    METHODS = (*WITH_GRADIENT, "Powell", "COBYLA")
    # scipy's own stop at a gradient of 1e-5, which is that of a cell with 10 spikes in 1000 s of frames of 1 ms, whatever fits.
    OPTIONS: ClassVar = {"L-BFGS-B": {"gtol": 1e-9, "ftol": 1e-14, "maxcor": 30, "maxfun": 1_000_000}}

    def __init__(self, params: Any, method: str = "L-BFGS-B", *, max_iter: int = 100, **options: Any) -> None:
        if method not in self.METHODS:
            raise ParameterError("Scipy", "method", f"choose from {list(self.METHODS)}", method)
        super().__init__(params, {})
        self.method, self.options = method, {"maxiter": max_iter, **self.OPTIONS.get(method, {}), **options}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "method": self.method, "options": self.options}

    @property
    def needs_gradient(self) -> bool:
        """Whether the closure has to go backward."""
        return self.method in self.WITH_GRADIENT

    @torch.no_grad()
    def step(self, closure: Closure) -> Any:  # type: ignore[override]
        """Minimizes the loss. Returns: the loss before."""
        from scipy.optimize import Bounds, minimize

        values: list[Tensor] = [p for group in self.param_groups for p in group["params"]]
        start = np.concatenate([p.detach().double().cpu().numpy().ravel() for p in values])
        low, high = (np.concatenate(ends) for ends in zip(*(bounds(p) for p in values), strict=True))
        seen: list[float] = []

        def put(x: np.ndarray) -> None:
            for p, part in zip(values, np.split(x, np.cumsum([p.numel() for p in values])[:-1]), strict=True):
                p.copy_(torch.from_numpy(part).reshape(p.shape))

        def loss(x: np.ndarray) -> Any:
            put(x)
            with torch.enable_grad():
                seen.append(number(closure()))
            value = seen[-1] if math.isfinite(seen[-1]) else 1e300  # so that a line search turns back
            if not self.needs_gradient:
                return value
            return value, np.concatenate([np.zeros(p.numel()) if p.grad is None else
                                          p.grad.double().cpu().numpy().ravel() for p in values])

        found = minimize(loss, start, jac=self.needs_gradient or None, method=self.method, bounds=Bounds(low, high),
                         options=self.options)
        put(np.clip(found.x, low, high) if np.isfinite(found.x).all() and found.fun < 1e300 else start)
        return seen[0]


def bounds(p: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The range of each element of a parameter; an open end is a millionth of the element's distance inside."""
    spec = getattr(p, "spec", None)
    value = p.detach().double().cpu().numpy().ravel()
    low, high = np.full_like(value, -np.inf), np.full_like(value, np.inf)
    if isinstance(spec, Param):
        if spec.at_least is not None:
            low[:] = spec.at_least
        if spec.above is not None:
            low = spec.above + 1e-6 * (value - spec.above)
        if spec.at_most is not None:
            high[:] = spec.at_most
    return low, high


OWN: dict[str, type[torch.optim.Optimizer]] = {kind.__name__: kind for kind in (CautiousLBFGS, FiniteDifference, Scipy)}


def number(loss: Any) -> float:
    """What a closure has returned, a tensor or a number, as a number."""
    return float(loss.detach()) if isinstance(loss, Tensor) else float(loss)
