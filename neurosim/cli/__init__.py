"""The command line: `neurosim demo`, `neurosim run`, `neurosim view`, `neurosim info`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neurosim._errors import NeurosimError, UnknownName

from . import demo, models
from .arguments import USAGE, parser
from .errors import UsageError
from .results import Results
from .run import open_input, stream_to_file

FAILED, INTERRUPTED = 1, 130


def say(text: str) -> None:
    """Tells the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _info(args: argparse.Namespace) -> int:
    if args.model is None:
        say(models.list_text())
    else:
        say(models.info_text(models.build(args.model, config=args.config, settings=args.settings,
                                          steps_per_second=args.steps_per_second,
                                          pixels_per_degree=args.pixels_per_degree)))
    return 0


def _run(args: argparse.Namespace) -> int:
    model = models.build(args.model, config=args.config, settings=args.settings, dtype=args.dtype, device=args.device,
                         steps_per_second=args.steps_per_second, pixels_per_degree=args.pixels_per_degree,
                         seed=args.seed)
    results = Results(args.output, model, overwrite=args.overwrite, about=models.about(model, args.input, args.seed),
                      only=args.only, limits=None if args.limits is None else tuple(args.limits))
    source = open_input(args.input, model, size=args.size, scaled=args.scaled, interpolation=args.interpolation,
                        dataset=args.dataset)
    ended_by = stream_to_file(model, source, results, dt=args.dt, frames=args.frames, record=args.record,
                              progress=not args.quiet, on_nan=args.on_nan)
    say(results.summary())
    return ended(ended_by)


def _demo(args: argparse.Namespace) -> int:
    folder = Path(args.output)
    ended_by = demo.make(folder, size=args.size, steps_per_second=args.steps_per_second, frames=args.frames,
                         seed=args.seed, progress=not args.quiet, say=say)
    return ended(ended_by)


def _view(args: argparse.Namespace) -> int:
    from .view import write_page

    page = Path(args.output or Path(args.file).with_suffix(".html"))
    contents = write_page(args.file, page, overwrite=args.overwrite)
    say(f"{page}: {len(contents.frames)} datasets, {sum(table.count for table in contents.spikes)} spikes; "
        f"{page.stat().st_size / 1e6:.2g} MB")
    if args.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return 0


def ended(signal: int | None) -> int:
    """The exit code of a program that was ended by this signal, or by none."""
    return 0 if signal is None else 128 + signal


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"demo": _demo, "run": _run, "view": _view, "info": _info}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments; those of the program when None.
    Returns: the exit code. Wrong arguments end the program with code 2, as argparse does.
    """
    args = parser().parse_args(argv)
    try:
        return COMMANDS[args.command](args)
    except KeyboardInterrupt:
        return fail(args, "interrupted", INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UsageError as error:
        return fail(args, f"{error} (see neurosim {args.command} --help)", USAGE)
    except UnknownName as error:
        return fail(args, error, USAGE)
    except (NeurosimError, OSError, MemoryError) as error:
        return fail(args, error, FAILED)
    except Exception as error:
        hint = f"neurosim --traceback {args.command} ... shows where"
        return fail(args, f"unexpected {type(error).__name__}: {error} ({hint})", FAILED)


def fail(args: argparse.Namespace, what: Any, code: int) -> int:
    """Says in one line what went wrong, and gives the exit code back."""
    if args.traceback:
        import traceback
        traceback.print_exc()
    sys.stderr.write(f"neurosim {args.command}: {' '.join(str(what).split())}\n")
    return code
