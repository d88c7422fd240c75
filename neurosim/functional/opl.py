"""The outer plexiform layer: a centre that sees the light, a surround that sees the centre, and their difference."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .spatial import deriche, leaky_heat
from .temporal import Number, cascade, highpass, last_frame, lowpass


class OPLState(NamedTuple):
    """What the layer remembers: each (batch, channel, y, x), `center` with its stages in front.

    Fields: `center`, the centre's stages; `mean`, the average that the undershoot subtracts; `surround`; `receptor`, R of
    the preceding frame, which the surround reads.
    """

    center: Tensor
    mean: Tensor
    surround: Tensor
    receptor: Tensor


class OPLSignals(NamedTuple):
    """The signals of the layer, each a video like its input: `opl` is its output, receptor less surround."""

    center: Tensor
    receptor: Tensor
    surround: Tensor
    opl: Tensor


def opl_start(frame: Tensor, luminance: Number, gain: Number, undershoot_weight: Number, surround_weight: Number,
              stages: int) -> OPLState:
    """The state after a long time in uniform light.

    Args:
        frame: (batch, channel, y, x), for shape, dtype and device.
        luminance: of that light.
        gain, undershoot_weight, surround_weight: as for `opl`.
        stages: of the centre's cascade.
    """
    center = torch.ones_like(frame) * (gain * luminance)
    receptor = (1 - undershoot_weight) * center
    return OPLState(center.expand(stages, *center.shape).clone(), center, surround_weight * receptor, receptor)


def opl(x: Tensor, state: OPLState, h: float, *, center_sigma: Number, center_tau: Number, center_n: int, gain: Number,
        undershoot_tau: Number, undershoot_weight: Number, surround_sigma: Number, surround_tau: Number,
        surround_weight: Number, leaky: bool, undershoot: bool, stage_delays: bool) -> tuple[OPLSignals, OPLState]:
    """Centre C, receptor R, surround S and their difference O = R - S, frame by frame.

    C is the light, smoothed and low-passed, times the gain; R = C - undershoot_weight lowpass(C); S is R of the preceding
    frame, smoothed, low-passed and times surround_weight. Where `leaky`, smoothing and low-pass are one leaky heat
    equation; otherwise the frame is smoothed first, and the centre's low-pass is a cascade.

    Args:
        x: video of luminance (batch, channel, time, y, x).
        state: of `opl_start`, or what an earlier chunk left.
        h: length of a frame in s.
        center_sigma, surround_sigma: nominal widths in pixels. center_tau, undershoot_tau, surround_tau: in s. All 0-d.
        center_n: order of the centre's cascade; without effect where `leaky`.
        gain, undershoot_weight, surround_weight: 0-d.
        undershoot: whether there is one.
        stage_delays: whether the undershoot reads C of the preceding frame, as in the original program.
    Returns: the signals, the next state.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 1 to 6; the surround's delay as in their program.
    """
    if leaky:
        center, last = leaky_heat(x, state.center[0], center_sigma, center_tau, h, gain)
        stages = last[None]
    else:
        center, stages = cascade(deriche(x, center_sigma), state.center, center_tau, center_n, h, 2, gain)
    seen = later(center, state.center[-1]) if stage_delays and undershoot else center
    receptor, mean = seen, state.mean
    if undershoot:
        receptor, mean = highpass(seen, mean, undershoot_tau, undershoot_weight, h, 2)
    if leaky:
        surround, kept = leaky_heat(later(receptor, state.receptor), state.surround, surround_sigma, surround_tau, h,
                                    surround_weight)
    else:
        smooth = deriche(later(receptor, state.receptor), surround_sigma)
        surround, kept = lowpass(smooth, state.surround, surround_tau, h, 2, surround_weight)
    signals = OPLSignals(center, receptor, surround, receptor - surround)
    return signals, OPLState(stages, mean, kept, last_frame(receptor, state.receptor, 2))


def later(x: Tensor, before: Tensor) -> Tensor:
    """The video one frame later: `before`, then all frames but the last. x (batch, channel, time, y, x)."""
    return torch.cat([before[:, :, None], x[:, :, :-1]], 2) if x.shape[2] else x
