"""The operators as torch sees them: dispatch, compilation, export, transforms, double backward; numba only when needed."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import numba
import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from neurosim.functional.spatial import deriche_coefficients
from neurosim.kernels._jit import compiled
from neurosim.kernels._op import make_op
from neurosim.kernels.affine import affine
from neurosim.kernels.deriche import deriche
from neurosim.kernels.leaky_heat import leaky_heat
from neurosim.kernels.recursion import recursion


def rand(*shape: int, grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_(grad)


def cases(grad: bool) -> list[Any]:
    c, b = (torch.tensor(v, dtype=torch.float64, requires_grad=grad) for v in (0.7, 0.4))
    blur = deriche_coefficients(1.3).requires_grad_(grad)
    return [
        pytest.param(recursion, (rand(2, 4, 3, grad=grad), rand(2, 3, grad=grad), c, b), id="recursion"),
        pytest.param(deriche, (rand(2, 4, 5, grad=grad), blur), id="deriche"),
        pytest.param(leaky_heat, (rand(2, 3, 4, 5, grad=grad), rand(2, 4, 5, grad=grad), c, b, blur), id="leaky_heat"),
        pytest.param(affine, (rand(2, 3, grad=grad), rand(4, 3, grad=grad), rand(4, grad=grad)), id="affine"),
    ]


@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_operator_is_well_formed(op: Any, args: tuple[Tensor, ...]) -> None:
    torch.library.opcheck(op.operator, args)


@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_first_and_second_derivatives(op: Any, args: tuple[Tensor, ...]) -> None:
    assert torch.autograd.gradcheck(op, args)
    assert torch.autograd.gradgradcheck(op, args)


@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_kernel_and_reference_agree(op: Any, args: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(op(*args), op.reference(*args), rtol=1e-13, atol=1e-13)  # rounding only
    weight = rand(*op(*args).shape)
    ours = torch.autograd.grad(op(*args), args, weight)
    theirs = torch.autograd.grad(op.reference(*args), args, weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)  # sums over some hundred terms


@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_only_the_gradients_that_are_asked_for(op: Any, args: tuple[Tensor, ...]) -> None:
    weight = rand(*op(*args).shape)
    everything = torch.autograd.grad(op(*args), args, weight)
    for position, expected in enumerate(everything):
        some = tuple(arg if i == position else arg.detach() for i, arg in enumerate(args))
        torch.testing.assert_close(torch.autograd.grad(op(*some), some[position], weight)[0], expected)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own, in its jvp
@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_func_transforms(op: Any, args: tuple[Tensor, ...]) -> None:
    def loss(first: Tensor) -> Tensor:
        return op(first, *args[1:]).square().sum()

    expected = torch.autograd.grad(loss(args[0]), args[0])[0]
    torch.testing.assert_close(torch.func.grad(loss)(args[0]), expected)
    _, change = torch.func.jvp(loss, (args[0],), (torch.ones_like(args[0]),))
    torch.testing.assert_close(change, expected.sum())
    pair = torch.stack([args[0], 2 * args[0]])
    torch.testing.assert_close(torch.func.vmap(loss)(pair), torch.stack([loss(pair[0]), loss(pair[1])]))


@pytest.mark.parametrize(("op", "args"), cases(grad=True))
def test_what_torch_does_with_graphs(op: Any, args: tuple[Tensor, ...]) -> None:
    """Checkpoints hand out saved tensors once; batched gradients have no numbers; autocast is none of the kernel's business."""
    weight = rand(3, *op(*args).shape)
    expected = [torch.autograd.grad(op(*args), args, one) for one in weight]
    again = torch.autograd.grad(checkpoint(op, *args, use_reentrant=False), args, weight[0])
    torch.testing.assert_close(again, expected[0], rtol=0, atol=0)
    stacked = tuple(map(torch.stack, zip(*expected, strict=True)))
    y = op(*args)
    torch.testing.assert_close(torch.autograd.grad(y, args, weight, retain_graph=True, is_grads_batched=True), stacked)
    one_by_one = torch.func.vmap(lambda one: torch.autograd.grad(y, args, one, retain_graph=True))
    torch.testing.assert_close(one_by_one(weight), stacked)
    single = [x.detach().float().requires_grad_() for x in args]
    exact = torch.autograd.grad(op(*single), single, weight[0].float())
    with torch.autocast("cpu", torch.bfloat16):
        y = op(*single)
        torch.testing.assert_close(torch.autograd.grad(y, single, weight[0].float(), retain_graph=True), exact, rtol=0, atol=0)
        graph = torch.autograd.grad(y, single, weight[0].float(), create_graph=True)
    torch.testing.assert_close(graph, exact, rtol=1e-4, atol=1e-5)


class Wrapped(torch.nn.Module):
    def forward(self, *args: Tensor) -> Tensor:
        return deriche(*args)


@pytest.mark.slow
def test_compile_without_graph_breaks() -> None:
    x, blur = rand(2, 4, 5, grad=True), deriche_coefficients(1.3)
    expected = torch.autograd.grad(deriche(x, blur).square().sum(), x)[0]
    fast = torch.compile(lambda x: deriche(x, blur).square().sum(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(torch.autograd.grad(fast(x), x)[0], expected)


def test_export() -> None:
    args = (rand(2, 4, 5), deriche_coefficients(1.3))
    program = torch.export.export(Wrapped(), args)
    assert "neurosim.deriche" in str(program.graph)
    torch.testing.assert_close(program.module()(*args), deriche(*args), rtol=0, atol=0)


def test_other_dtypes_take_the_reference() -> None:
    x, y0, c = torch.ones(1, 2, 3, dtype=torch.bfloat16), torch.zeros(1, 3, dtype=torch.bfloat16), torch.tensor(0.5)
    assert recursion(x, y0, c, c).dtype == torch.bfloat16
    assert recursion(x, y0, c, c)[0, 1, 0] == 0.75


def test_strided_inputs_and_expanded_gradients() -> None:
    x = rand(3, 4, 2).permute(2, 1, 0).requires_grad_()
    c = torch.tensor(0.5, dtype=torch.float64)
    y = recursion(x, torch.zeros(2, 3, dtype=torch.float64), c, c)
    torch.testing.assert_close(y, recursion.reference(x, torch.zeros(2, 3, dtype=torch.float64), c, c))
    y.sum().backward()  # its gradient is a single expanded number
    torch.testing.assert_close(x.grad[:, 3], torch.full((2, 3), 0.5, dtype=torch.float64))


def test_importing_neurosim_does_not_import_numba() -> None:
    code = "import sys, neurosim, neurosim.kernels.leaky_heat, neurosim.kernels._math; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@compiled
def _double(x: float) -> float:
    return 2.0 * x


@compiled
def _quadruple(x: float) -> float:
    return _double(_double(x))


def test_compiled_functions_call_each_other() -> None:
    assert _quadruple(1.5) == 6.0


def test_cold_compilation_is_logged_and_a_missing_cache_folder_is_not_fatal(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    real = numba.njit

    def njit(*args: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'third': no locator available")
        return real(*args, **options)

    def third(x: float) -> float:
        return x / 3.0

    third.__module__ = "neurosim.kernels.third"
    monkeypatch.setattr(numba, "njit", njit)
    with caplog.at_level(logging.INFO, "neurosim"):
        assert compiled(third)(6.0) == 2.0
    assert "machine code is not kept on disk: cannot cache function" in caplog.text
    assert "compiling neurosim.kernels.third.third" in caplog.text


def test_the_stored_machine_code_is_named_by_what_it_is_made_of(tmp_path: Any) -> None:
    names = []
    (tmp_path / "caller.py").touch()
    for text in ("return x + 1.0", "return x + 2.0"):
        path = tmp_path / "callee.py"
        path.write_text(f"def callee(x):\n    {text}\n")
        space: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        space["callee"] = compiled(space["callee"])
        exec(compile("def caller(x):\n    return callee(x)\n", str(tmp_path / "caller.py"), "exec"), space)
        caller = compiled(space["caller"])
        names.append(caller.native.py_func.__qualname__)
        assert caller(1.0) == space["callee"].function(1.0)
    assert names[0] != names[1]  # though only the other file has changed


def test_a_reference_without_gradient_for_an_output() -> None:
    def reference(x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, x.detach().sign().long()

    op = make_op("test_partly_differentiable", reference, reference, lambda x: (2 * x, (x > 0).astype("int64")),
                 lambda needs, grads, outputs, x: (2 * grads[0],))
    x = rand(3, grad=True)
    assert torch.autograd.gradcheck(lambda x: op(x)[0], (x,))
    first, = torch.autograd.grad(op(x)[0].square().sum(), x, create_graph=True)
    torch.testing.assert_close(first, 8 * x)
