"""The laws that hold for every layer."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest
import torch

from neurosim import ChunkLayer, FrameLayer, InputError, Layer, Output, StateError
from neurosim.filters.kernels import Kernel
from neurosim.models import Bidirectional

from .cases import CASES, Case

DTYPES = [torch.float32, torch.float64]
DTS = [1, 7, 40, None]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(sub) for sub in cls.__subclasses__()))


def test_every_layer_is_on_the_list():
    abstract = {Layer, ChunkLayer, FrameLayer}
    ours = {cls for cls in subclasses(Layer) if cls.__module__.startswith("neurosim.") and not cls.__name__.startswith("_")
            and getattr(sys.modules[cls.__module__], cls.__name__, None) is cls  # not one that a doctest has made
            and not issubclass(cls, Kernel) and cls not in abstract}
    at_once = {Bidirectional}  # refuses a second chunk; its laws are in models/test_bidirectional.py
    assert ours - {type(case.make(torch.float32)) for case in CASES} == at_once


def close(a: torch.Tensor, b: torch.Tensor, bitwise: bool) -> None:
    """Equal, or to the law's bound relative to the largest value."""
    if bitwise:
        assert torch.equal(a, b)
    else:
        bound = {torch.float32: 1e-6, torch.float64: 1e-12}[a.dtype] * float(b.abs().max())
        torch.testing.assert_close(a, b, rtol=0, atol=max(bound, 1e-300) * 4)


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("dt", DTS)
def test_chunks_do_not_change_the_answer(case: Case, dtype: torch.dtype, dt: int | None):
    x = case.input(dtype)
    whole, cut = case.make(dtype).run(x), case.make(dtype).run(x, dt)
    for a, b in zip(cut, whole, strict=True):
        assert a.dtype == dtype
        close(a, b, case.bitwise)
    for name, events in whole.events.items():
        assert torch.equal(events.time.sort()[0], cut.events[name].time.sort()[0])


@every
def test_chunks_do_not_change_the_gradient(case: Case):
    x = case.input(torch.float64, 12)
    grads = []
    for dt in (None, 5):
        layer = case.make(torch.float64)
        own = x.clone().requires_grad_()
        sum((y**2).mean() for y in layer.run(own, dt, detach=False)).backward()
        grads.append([own.grad, *(p.grad for p in layer.parameters() if p.grad is not None)])
    assert len(grads[0]) == len(grads[1])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11 * float(b.abs().max()))


@every
def test_gradcheck(case: Case):
    if not case.smooth:
        pytest.skip("spike counts have surrogate gradients, tested by themselves")
    layer = case.make(torch.float64)
    shape = (1, case.shape[1], 6, 3, 4) if len(case.shape) == 5 else (1, 5, 2) if case.batch_first else (5, 1, 2)
    g = torch.Generator().manual_seed(3)
    x = (case.low + (case.high - case.low) * torch.rand(shape, generator=g, dtype=torch.float64)).requires_grad_()
    scale = max(abs(case.low), abs(case.high))
    named = {name: p.detach() for name, p in layer.named_parameters()}
    wide = [torch.where(p == 0, 0.1, p.abs()) for p in named.values()]

    def f(x: torch.Tensor, *changes: torch.Tensor) -> torch.Tensor:
        """The output as a function of the input and of relative changes of the parameters."""
        layer.clear_state()
        values = {name: p + w * c for (name, p), w, c in zip(named.items(), wide, changes, strict=True)}
        y = torch.func.functional_call(layer, values, (x * scale,))
        return torch.stack(list(y)) if isinstance(y, Output) else y

    # Widths are rounded to float32 on purpose: a step well above that rounding, and a bound above its 6e-8 / 1e-3.
    zeros = [torch.zeros_like(p, requires_grad=True) for p in named.values()]
    size = float(f(x.detach() / scale, *zeros).detach().abs().max())
    assert torch.autograd.gradcheck(f, ((x.detach() / scale).requires_grad_(), *zeros), eps=1e-3, atol=1e-3 * size, rtol=1e-3)


@every
def test_state_round_trip(case: Case):
    layer = case.make(torch.float64)
    x = case.input(torch.float64)
    first, second = x.split(20, layer.axes.time)
    layer.run(first)
    state = layer.get_state()
    layer.push_state()
    once = layer.run(second)
    layer.pop_state()
    again = layer.run(second)
    other = case.make(torch.float64)
    other.set_state(state)
    third = other.run(second)
    value, advanced = case.make(torch.float64).advance(second, state)
    for a, b, c in zip(once, again, third, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)
    assert torch.equal(once[0], value[0] if isinstance(value, Output) else value)
    assert advanced.keys() == layer.get_state().keys()
    for name, tensor in layer.get_state().items():
        assert torch.equal(tensor, advanced[name])
    layer.clear_state()
    assert layer.get_state() == {} and layer.state is None
    for a, b in zip(layer.run(first), case.make(torch.float64).run(first), strict=True):
        assert torch.equal(a, b)


@every
def test_stacks_are_copies(case: Case):
    layer = case.make(torch.float64)
    x = case.input(torch.float64, 10)
    layer.run(x)
    layer.push_all()
    layer.store_all("before")
    kept = {name: value.copy() for name, value in layer.get_parameters().items()}
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(1.5)
    for value in layer.get_state().values():
        value.zero_()
    layer.run(x)
    state_after = layer.get_state()
    layer.pop_all()
    for name, value in layer.get_parameters().items():
        np.testing.assert_array_equal(value, kept[name])
    layer.run(x)
    layer.retrieve_all("before")
    layer.retrieve_all("before")
    assert layer.get_state().keys() == state_after.keys()


@every
def test_copies_are_apart(case: Case):
    layer = case.make(torch.float64)
    x = case.input(torch.float64, 10)
    layer(x.clone().requires_grad_())
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.get_parameters().keys() == layer.get_parameters().keys()
        for p, q in zip(layer.parameters(), twin.parameters(), strict=True):
            assert type(p) is type(q) and p is not q and torch.equal(p, q)
        before = layer.get_state()
        for a, b in zip(twin.run(x), copy.deepcopy(layer).run(x), strict=True):
            assert torch.equal(a, b)
        for name, value in layer.get_state().items():
            assert torch.equal(value, before[name])


@every
def test_dtype_follows_the_layer(case: Case):
    layer = case.make(torch.float32)
    layer.run(case.input(torch.float32, 10))
    layer.double()
    assert all(x.dtype == torch.float64 for x in layer.get_state().values() if x.is_floating_point())
    y = layer.run(case.input(torch.float64, 10))
    assert y[0].dtype == torch.float64
    values = [*layer.parameters(), *layer.buffers()]
    if not values and not layer.get_state():  # nothing that has a dtype: it takes every one
        return
    mine = r"computes in torch.float64, the data is torch.float32"
    with pytest.raises((InputError, StateError), match=mine if values else "left by frames of shape"):
        layer.run(case.input(torch.float32, 10))


@pytest.mark.cuda
@every
def test_device(case: Case):
    layer = case.make(torch.float64).cuda()
    x = case.input(torch.float64, 12)
    for a, b in zip(layer.run(x.cuda(), 5), case.make(torch.float64).run(x), strict=True):
        assert a.is_cuda
        torch.testing.assert_close(a.cpu(), b, rtol=1e-9, atol=1e-9)
    with pytest.raises(InputError, match="the layer is on cuda"):
        layer.run(x)


@every
def test_state_dict_and_functional_call(case: Case):
    layer, other = case.make(torch.float64), case.make(torch.float64)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(1.01)
    layer.run(case.input(torch.float64, 5))
    assert not any("state" in name.split(".") for name in layer.state_dict())
    other.load_state_dict(layer.state_dict())
    x = case.input(torch.float64, 10)
    layer.clear_state()
    for a, b in zip(layer.run(x), other.run(x), strict=True):
        assert torch.equal(a, b)
    layer.clear_state()
    called = torch.func.functional_call(case.make(torch.float64), dict(other.named_parameters()), (x,))
    assert torch.equal(called[0] if isinstance(called, Output) else called, layer.run(x)[0])


@every
def test_bad_input_changes_nothing(case: Case):
    layer = case.make(torch.float32)
    x = case.input(torch.float32, 10)
    layer.run(x)
    before = layer.get_state()
    bad = x.clone()
    bad[(0,) * layer.axes.time + (3,) + (0,) * (x.ndim - layer.axes.time - 1)] = torch.nan  # a time span is the last feature
    with pytest.raises(InputError, match=r"NaN or infinite, the first in frame 3"):
        layer.run(bad, 2)
    with pytest.raises(InputError, match=r"must be \("):
        layer.run(torch.zeros(3, 3, 3, 3, 3, 3))
    if before:
        told = r"left by frames of shape .* Call clear_state\(\)|the signal must have \d features \(got \d\)"
        with pytest.raises((StateError, InputError), match=told):
            layer(torch.cat([x, x], -1))
    for name, value in layer.get_state().items():
        assert torch.equal(value, before[name])
    layer.clear_state()
    layer.run(bad, on_nan="pass")


@every
def test_numbers_of_any_type_are_taken(case: Case):
    x = case.input(torch.float64, 8)
    layer = case.make(torch.float32)
    wanted = layer.run(x.round().float())[0]
    layer.clear_state()
    assert torch.equal(layer.run(x.round().numpy())[0], wanted)
    layer.clear_state()
    assert torch.equal(layer.run(x.round().to(torch.int64))[0], wanted)
    layer.clear_state()
    yes = layer.run(x > 0)[0]
    layer.clear_state()
    assert torch.equal(yes, layer.run((x > 0).float())[0])


@every
def test_no_frames_give_no_frames(case: Case):
    layer = case.make(torch.float32)
    x = case.input(torch.float32, 10)
    y = layer.run(x)
    state = layer.get_state()
    empty = layer.run(x.narrow(layer.axes.time, 0, 0))
    for a, b in zip(empty, y, strict=True):
        assert a.shape[y.axes.time] == 0
        assert y.axes.frame_shape(a) == y.axes.frame_shape(b)
    for name, value in layer.get_state().items():
        assert torch.equal(value, state[name])


@every
def test_representations(case: Case):
    layer = case.make(torch.float32)
    layer.run(case.input(torch.float32, 3))
    assert type(layer).__name__ in repr(layer)
    for tree in (layer.p, layer.s, layer.m, layer.p._all, layer.user_parameters):
        assert isinstance(repr(tree), str) and "<details" in tree._repr_html_()
    assert type(layer).__name__ in layer._repr_html_()


@every
def test_completion_finds_every_parameter(case: Case):
    layer = case.make(torch.float32)
    for path, _ in layer.p.items():
        tree = layer.p
        for part in path.split("."):
            assert part in dir(tree)
            tree = getattr(tree, part)
        assert tree is layer.get_parameter(path) if path in dict(layer.named_parameters()) else True
        assert path.replace(".", "_") in dir(layer.p._all)


def whole(out: Output, frames: int = 12) -> torch.Tensor:
    """The first output with zeros for the first frames where a layer gives none, which do not count."""
    missing = frames - out[0].shape[out.axes.time]
    return torch.cat([torch.zeros_like(out[0].narrow(out.axes.time, 0, missing)), out[0]], out.axes.time)


@every
def test_optimize_leaves_what_running_leaves(case: Case):
    """In chunks of 5, the last one ragged; the goal in the same chunks, so that not even a rounding is left."""
    layer, other = case.make(torch.float64), case.make(torch.float64)
    if not any(p.requires_grad for p in layer.parameters()):
        pytest.skip("nothing to fit")
    x = case.input(torch.float64, 12)
    out = other.run(x, 5)
    layer.set_optimizer.SGD(lr=0.0)
    assert layer.optimize(x, whole(out), dt=5) == [0.0, 0.0, 0.0]
    assert layer._stacks == {}
    for name, value in layer.get_state().items():
        assert torch.equal(value, other.get_state()[name])


@every
def test_a_line_search_leaves_what_running_leaves(case: Case):
    """However often LBFGS evaluates a chunk: the state is the one under the parameters that it accepts."""
    layer = case.make(torch.float64)
    if not any(p.requires_grad for p in layer.parameters()):
        pytest.skip("nothing to fit")
    x = case.input(torch.float64, 10)
    out = case.make(torch.float64).run(x, 5)
    layer.set_optimizer.LBFGS(lr=1e-3, max_iter=3, line_search_fn="strong_wolfe")
    goals = (0.9 * whole(out, 10)).split(5, out.axes.time)
    for part, wanted in zip(x.split(5, layer.axes.time), goals, strict=True):
        twin = copy.deepcopy(layer)
        layer.optimize(part, wanted)
        twin.load_state_dict(layer.state_dict())
        twin.run(part)
        for name, value in layer.get_state().items():
            assert torch.equal(value, twin.get_state()[name])
