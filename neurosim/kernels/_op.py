"""`make_op`: from a torch reference and compiled functions, one operator that eager, compiled and exported torch take.

A kernel file defines functions of the same arguments (tensors first, then ints, floats, bools; annotated) and calls

    scale = make_op("scale", reference, shapes, forward, backward)

`reference(x, y0, n)` is plain torch: the definition, and what runs on other devices and dtypes, under functorch and for
second derivatives. `shapes` returns empty contiguous tensors like the outputs. `forward(x, y0, n)` gets contiguous numpy
arrays, returns one array or a tuple of new ones. `backward(needs, grads, outputs, x, y0, n)` returns a tuple with the
gradient of every tensor argument, of which those are dropped that `needs` (bools, one for each tensor argument) does not
ask for; `grads` and `outputs` are tuples. Outputs that are only kept for it (the last `kept`) have no entry in `grads`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

KERNEL_DTYPES = (torch.float32, torch.float64)
CPU = torch.device("cpu")
UNWATCHED = torch._C._disabled_torch_dispatch_impl  # what a plain tensor has for `__torch_dispatch__`


def make_op(name: str, reference: Callable[..., Any], shapes: Callable[..., Any], forward: Callable[..., Any],
            backward: Callable[..., Any], kept: int = 0) -> Callable[..., Any]:
    """The operator `neurosim::<name>` and a function that calls it.

    Args:
        name: unique name of the operator.
        reference: plain torch, annotated with Tensor, int, float, bool; returns a tensor or a tuple of tensors.
        shapes: same arguments; returns what `reference` returns, as empty contiguous tensors.
        forward: same arguments, tensors as contiguous numpy arrays; returns new arrays.
        backward: see the top of this file.
        kept: how many of the outputs, the last ones, are there for `backward` alone: no gradient comes through them.
    Returns: a function of the same arguments. It calls the compiled code for CPU tensors whose floating dtypes are
        float32 or float64 (mixed, if the kernel likes), else the reference, which ONNX gets too.
    """
    @uncast
    def run(*args: Any) -> Any:
        result = forward(*map(to_numpy, args))
        if isinstance(result, tuple):
            return tuple(torch.from_numpy(array) for array in result)
        return torch.from_numpy(result)

    @uncast
    def gradients(needs: list[bool], grads: list[Tensor], outputs: list[Tensor], *args: Any) -> list[Tensor | None]:
        found = backward(tuple(needs), tuple(map(to_numpy, grads)), tuple(map(to_numpy, outputs)), *map(to_numpy, args))
        return [as_gradient(grad, arg) if need else None for need, grad, arg in zip(needs, found, args)]

    def run_backward(needs: list[bool], grads: list[Tensor], outputs: list[Tensor], *args: Any) -> list[Tensor]:
        return [arg.new_empty(0) if grad is None else grad
                for grad, arg in zip(gradients(needs, grads, outputs, *args), args)]

    def backward_shapes(needs: list[bool], grads: list[Tensor], outputs: list[Tensor], *args: Any) -> list[Tensor]:
        return [arg.new_empty(arg.shape if need else 0) for need, arg in zip(needs, args)]

    schema = torch.library.infer_schema(reference, mutates_args=())
    schema = schema.replace("SymInt[]", "int[]")  # which torch.jit.trace takes
    opened = schema.index("(") + 1
    arguments = schema[opened:schema.rindex(" ->")]
    backward_schema = f"(bool[] needs, Tensor[] grads, Tensor[] outputs, {arguments} -> Tensor[]"
    operator = torch.library.custom_op(f"neurosim::{name}", run, mutates_args=(), device_types="cpu", schema=schema)
    operator.register_fake(shapes)
    operator_backward = torch.library.custom_op(f"neurosim::{name}_backward", run_backward, mutates_args=(),
                                                device_types="cpu", schema=backward_schema)
    operator_backward.register_fake(backward_shapes)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        tensors = [arg for arg in inputs if isinstance(arg, Tensor)]
        outputs = output if isinstance(output, tuple) else (output,)
        ctx.count = len(tensors)
        ctx.rest = inputs[len(tensors):]
        ctx.set_materialize_grads(False)  # what is kept may be large
        ctx.save_for_backward(*tensors, *outputs)

    def autograd(ctx: Any, *grads: Tensor | None, compiled: Callable[..., Any] = operator_backward) -> tuple[Any, ...]:
        saved = ctx.saved_tensors  # asked for once: checkpoints hand it out a single time
        inputs, outputs = saved[:ctx.count], saved[ctx.count:]
        needs = list(ctx.needs_input_grad[:ctx.count])
        whole = [nothing_like(output) if grad is None else grad
                 for grad, output in zip(grads, outputs[:len(outputs) - kept])]
        if torch.is_grad_enabled() or any(map(is_batched, whole)):  # create_graph=True: it has to be differentiable itself
            found = differentiate(reference, needs, whole, inputs, ctx.rest)
        else:
            found = compiled(needs, whole, list(outputs), *inputs, *ctx.rest)
        return *(grad if need else None for need, grad in zip(needs, found)), *(None for _ in ctx.rest)

    operator.register_autograd(autograd, setup_context=setup_context)

    class Eager(torch.autograd.Function):
        """The same without the dispatcher, whose first call imports half of torch's compiler."""

        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            result = run(*args)
            setup_context(ctx, args, result)
            return result

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return autograd(ctx, *grads, compiled=gradients)

    def call(*args: Any) -> Any:
        compiling = torch.compiler.is_compiling()
        watched = compiling or torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None
        differentiable = False
        for arg in args:  # one pass: a live stream calls this for every frame
            if isinstance(arg, Tensor):
                if arg.device != CPU or (arg.dtype not in KERNEL_DTYPES and arg.is_floating_point()):
                    return reference(*args)
                watched = watched or type(arg).__torch_dispatch__ is not UNWATCHED
                differentiable |= arg.requires_grad
        if to_onnx() if compiling else transformed():
            return reference(*args)
        if watched:
            return operator(*args)
        if differentiable and torch.is_grad_enabled():
            return Eager.apply(*args)
        return run(*args)  # passing through torch's dispatcher costs more than a small frame

    call.__name__ = name
    call.__doc__ = reference.__doc__
    call.reference = reference  # type: ignore[attr-defined]
    call.operator = operator  # type: ignore[attr-defined]
    return call


def transformed() -> bool:
    """Whether a functorch transform (vmap, grad, jvp) or forward-mode differentiation is at work."""
    return (torch._C._functorch.peek_interpreter_stack() is not None
            or torch.autograd.forward_ad._current_level >= 0)


def is_batched(x: Tensor) -> bool:
    """Whether vmap, or `is_grads_batched` of torch.autograd.grad, hides an axis, so that the numbers cannot be looked at."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x) and not functorch.is_batchedtensor(x):
        x = functorch.get_unwrapped(x)
    return functorch.is_batchedtensor(x) or functorch.is_legacy_batchedtensor(x)


def uncast(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function outside of torch.autocast: what has been computed in one dtype has its gradient in it."""
    def call(*args: Any) -> Any:
        if not torch.is_autocast_enabled("cpu"):
            return function(*args)
        with torch.autocast("cpu", enabled=False):
            return function(*args)

    return call


def to_onnx() -> bool:
    """Whether torch.onnx is exporting what is traced."""
    return not torch.compiler.is_dynamo_compiling() and torch.onnx.is_in_onnx_export()


def is_tensor_with_grad(value: Any) -> bool:
    """Whether autograd has to know what happens to the argument."""
    return isinstance(value, Tensor) and value.requires_grad


def is_traced(args: tuple[Any, ...]) -> bool:
    """Whether operations are watched (fake tensors, subclasses, dispatch modes): only an operator is visible then."""
    return torch._C._len_torch_dispatch_stack() > 0 or any(
        isinstance(arg, Tensor) and type(arg).__torch_dispatch__ is not UNWATCHED
        for arg in args)


def as_number(value: Tensor | float) -> float | None:
    """The value of a number, or None where the compiler or a transform has to see the tensor.

    What follows from a few parameters is a dozen operations on single numbers; Python does them ten times faster.
    """
    if not isinstance(value, Tensor):
        return float(value)
    if torch.compiler.is_compiling() or transformed() or is_traced((value,)) or value.device.type != "cpu":
        return None
    return float(value.detach())


def derived(numbers: tuple[Tensor | float, ...], by_value: Callable[..., Any], by_graph: Callable[..., Tensor]) -> Tensor:
    """What follows from a few numbers, float64; the same bits whether a gradient is asked for or not.

    Args:
        numbers: 0-d tensors or numbers.
        by_value: from Python floats to a float or a list of them.
        by_graph: the same from the numbers as they came to a tensor, differentiable.
    """
    values = [as_number(number) for number in numbers]
    if any(value is None for value in values):
        return by_graph(*numbers)
    result = torch.tensor(by_value(*values), dtype=torch.float64)
    if not (torch.is_grad_enabled() and any(is_tensor_with_grad(number) for number in numbers)):
        return result
    graph = by_graph(*numbers)  # torch's exp is an ulp off Python's: the value is the one, the gradient the other's
    return graph + (result - graph.detach())


def to_numpy(value: Any) -> Any:
    """The contiguous numpy view (or copy) of a tensor; anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad:
        value = value.detach()
    return (value if value.is_contiguous() else value.contiguous()).numpy()


def as_gradient(grad: Any, arg: Tensor) -> Tensor:
    """`grad` (array or number) with dtype and shape of `arg`."""
    array = np.asarray(grad)
    if array.shape != arg.shape or not array.flags.c_contiguous or array.size < 2 or min(array.strides) < 0:
        # To numpy the stride of an axis of one element says nothing, to torch it does.
        array = np.array(array, order="C").reshape(arg.shape)
    return torch.from_numpy(array).to(arg.dtype)


def nothing_like(x: Tensor) -> Tensor:
    """Zeros; numpy's where they will do: torch's wake threads of OpenMP, which then spin on the cores that our own need."""
    if type(x) is Tensor and x.device == CPU and x.dtype in KERNEL_DTYPES:
        return torch.from_numpy(np.zeros(x.shape, to_numpy(x).dtype))
    return torch.zeros_like(x)


@uncast
def differentiate(reference: Callable[..., Any], needs: list[bool], grads: list[Tensor], inputs: tuple[Tensor, ...],
                  rest: tuple[Any, ...]) -> list[Tensor | None]:
    """Gradients of the reference with respect to `inputs`, with a graph of their own."""
    # Aliases make inputs that are passed twice, or that depend on each other, distinct.
    with torch.enable_grad():
        own = [x.view_as(x) for x in inputs]
        result = reference(*own, *rest)
    outputs = result if isinstance(result, tuple) else (result,)
    pairs = [(out, grad) for out, grad in zip(outputs, grads) if out.requires_grad]
    wanted = [x for x, need in zip(own, needs) if need]
    if not pairs:
        return [torch.zeros_like(x) if need else None for x, need in zip(own, needs)]
    found = iter(torch.autograd.grad([out for out, _ in pairs], wanted, [grad for _, grad in pairs], create_graph=True,
                                     allow_unused=True, materialize_grads=True))
    return [next(found) if need else None for need in needs]
