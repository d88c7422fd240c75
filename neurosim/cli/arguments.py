"""What can be typed at the command line."""

from __future__ import annotations

import argparse
from typing import NoReturn

import neurosim

USAGE = 2


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with code 2."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def size(text: str) -> tuple[int, int]:
    """`128` or `96x128` as (y, x)."""
    y, cross, x = text.partition("x")
    if not (y.isdigit() and int(y) and (not cross or (x.isdigit() and int(x)))):
        raise argparse.ArgumentTypeError(f"must be N or YxX, such as 96x128 (got {text!r})")
    return int(y), int(x if cross else y)


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1 (got {text!r})")
    return int(text)


def seed(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0 (got {text!r})")
    return int(text)


def rate(text: str) -> float:
    """A positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0 (got {text!r})")
    return value


def parser() -> Parser:
    """What can be typed."""
    top = Parser(prog="neurosim", description="Models of retina and neurons over video and signals, chunk by chunk.",
                 epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C.")
    top.add_argument("--version", action="version", version=f"neurosim {neurosim.__version__}")
    top.add_argument("--traceback", action="store_true", help="show where in the program an error arose")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_demo(commands.add_parser("demo", help="a real clip through the spiking retina"))
    _add_run(commands.add_parser("run", help="a file through a model into a file"))
    _add_view(commands.add_parser("view", help="a result as one page of HTML"))
    _add_info(commands.add_parser("info", help="the parameters of a model"))
    return top


def _add_demo(p: argparse.ArgumentParser) -> None:
    p.description = ("A real clip through the spiking retina, ON and OFF cells. Leaves the numbers in demo.h5, a "
                     "picture in demo.png and a movie in demo.mp4.")
    p.add_argument("-o", "--output", metavar="DIR", default="demo-result", help="folder for the result (%(default)s)")
    p.add_argument("--size", type=count, default=128, help="pixels per side (%(default)s)")
    p.add_argument("--steps-per-second", type=int, choices=(1000, 200), default=200, help="time steps (%(default)s)")
    p.add_argument("--frames", type=count, metavar="N", help="only the first N time steps")
    p.add_argument("--seed", type=seed, default=0, help="of the noise of the cells (%(default)s)")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _add_model(p: argparse.ArgumentParser) -> None:
    p.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], dest="settings",
                   help="value of a parameter, such as opl.center_tau=0.02; may be repeated")
    p.add_argument("--config", metavar="XML", help="configuration of Virtual Retina, for MODEL Retina")
    p.add_argument("--steps-per-second", type=rate, metavar="HZ",
                   help=f"time steps ({neurosim.default_resolution.steps_per_second:g})")
    p.add_argument("--pixels-per-degree", type=rate, metavar="N",
                   help=f"pixels per degree of the visual field ({neurosim.default_resolution.pixel_per_degree:g})")


def _add_run(p: argparse.ArgumentParser) -> None:
    p.description = ("A file through a model into a file, in the memory of one chunk. Ctrl-C ends it after the chunk "
                     "that is being computed; the file is then complete up to there.")
    p.add_argument("model", metavar="MODEL",
                   help="such as Retina or filters.TemporalLowPass; `neurosim info` lists them")
    p.add_argument("input", metavar="INPUT", help="a video, which is resampled to the time step; .npy, .npz or HDF5")
    p.add_argument("-o", "--output", metavar="OUTPUT", required=True,
                   help=".h5 or .nwb for every output, every record and all spikes; .npy, .mkv or .mp4 for one output")
    p.add_argument("--overwrite", action="store_true", help="replace an existing OUTPUT")
    _add_model(p)
    p.add_argument("--dt", type=count, metavar="N", default=100, help="frames per chunk (%(default)s)")
    p.add_argument("--frames", type=count, metavar="N", help="only the first N frames")
    p.add_argument("--record", metavar="PATH", action="append", default=[],
                   help="write an inner layer or signal as well, such as opl; may be repeated")
    p.add_argument("--only", metavar="NAME", action="append", default=[],
                   help="write only this output, recorded path, or `spikes`; may be repeated")
    p.add_argument("--size", type=size, metavar="YxX", help="scale a video to this size")
    p.add_argument("--scaled", action="store_true", help="a video's luminance as 0..1 instead of 0..255")
    p.add_argument("--interpolation", choices=("hold", "linear"), help="of a video in time (hold)")
    p.add_argument("--dataset", metavar="NAME", help="of an HDF5 input with several")
    p.add_argument("--limits", type=float, nargs=2, metavar=("BLACK", "WHITE"),
                   help="values at the ends of grey, for video")
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="of the numbers (%(default)s)")
    p.add_argument("--device", default="cpu", help="such as cuda (%(default)s)")
    p.add_argument("--seed", type=seed, help="of a model that draws random numbers")
    p.add_argument("--on-nan", choices=("raise", "pass"), help="what to do with NaN in the input (raise)")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _add_view(p: argparse.ArgumentParser) -> None:
    p.description = ("A result of `neurosim run` or `neurosim demo` as one page of HTML: input, maps, courses over time, "
                     "spikes, rates and parameters. Pictures are part of the page; it needs neither network nor scripts.")
    p.add_argument("file", metavar="FILE", help="HDF5 file with frames or spikes")
    p.add_argument("-o", "--output", metavar="PAGE", help="the page (FILE with .html instead of its suffix)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing PAGE")
    p.add_argument("--open", action="store_true", help="open the page in the browser")


def _add_info(p: argparse.ArgumentParser) -> None:
    p.description = "Parameters of a model with value, unit, range and meaning, and what --record takes."
    p.add_argument("model", metavar="MODEL", nargs="?", help="such as Retina; without it, all models are listed")
    _add_model(p)
