"""Declaring a stimulus: one line per parameter says default, unit, range and meaning; checks and help read that line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar, dataclass_transform

from .._errors import ParameterError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be."""

    unit: str
    doc: str
    above: float
    at_least: float
    at_most: float
    whole: bool
    pair: bool
    finite: bool
    choices: tuple[str, ...]

    @property
    def need(self) -> str:
        """The rule in words."""
        if self.choices:
            return f"choose from {list(self.choices)}"
        kind = "a pair (y, x) of numbers" if self.pair else "a whole number" if self.whole else "a number"
        bounds = [f"above {self.above:g}"] * (self.above > -math.inf) + \
            [f"at least {self.at_least:g}"] * (self.at_least > -math.inf) + \
            [f"at most {self.at_most:g}"] * (self.at_most < math.inf)
        return " ".join([f"must be {kind}", " and ".join(bounds), self.unit]).replace("  ", " ").strip()

    def checked(self, where: str, what: str, value: Any) -> Any:
        """`value` as it is kept; raises `ParameterError` when it breaks the rule."""
        if self.choices:
            if value not in self.choices:
                raise ParameterError(where, what, self.need, value)
            return value
        try:
            many = tuple(value) if self.pair else (value,)
            numbers = tuple(float(number) for number in many)
        except (TypeError, ValueError):
            raise ParameterError(where, what, self.need, value) from None
        fits = all(self.above < x and self.at_least <= x <= self.at_most and not math.isnan(x)
                   and (math.isfinite(x) or not self.finite) and (not self.whole or x == int(x)) for x in numbers)
        if not fits or (self.pair and len(numbers) != 2):
            raise ParameterError(where, what, self.need if self.finite is False or all(map(math.isfinite, numbers))
                                 else f"{self.need}, and finite", value)
        return numbers if self.pair else int(value) if self.whole else numbers[0]


def param(default: Any, *, unit: str = "", above: float = -math.inf, at_least: float = -math.inf,
          at_most: float = math.inf, whole: bool = False, pair: bool = False, finite: bool = True,
          choices: Sequence[str] = (), doc: str) -> Any:
    """Declares a parameter of a stimulus.

    Args:
        default: its value when it is not given.
        unit: its unit, such as "deg" or "Hz".
        above, at_least, at_most: its range.
        whole: whether it counts something.
        pair: whether it is (y, x).
        finite: whether infinity is refused.
        choices: the words that it may be.
        doc: what it means.
    Returns: a dataclass field.
    """
    rule = Rule(unit, doc, above, at_least, at_most, whole, pair, finite, tuple(choices))
    return dataclasses.field(default=default, metadata={"rule": rule})


def rules(stimulus: Any) -> dict[str, Rule]:
    """The declared parameters of a stimulus or its class."""
    return {field.name: field.metadata["rule"] for field in dataclasses.fields(stimulus) if "rule" in field.metadata}


@dataclass_transform(kw_only_default=True, field_specifiers=(param, dataclasses.field))
def stimulus(cls: type[T]) -> type[T]:
    """Makes a class with declared parameters a stimulus: its arguments, and what help says about them."""
    made = dataclasses.dataclass(kw_only=True, repr=False, eq=False)(cls)
    defaults = {field.name: field.default for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    lines = [f"        {name}: {rule.doc} ({f'{rule.unit}, ' if rule.unit else ''}default {defaults[name]!r})."
             for name, rule in rules(made).items()]
    text, mark, rest = (made.__doc__ or "").partition("    Args:\n")
    head = ["        size: (y, x) of a frame in pixels.",
            "        degrees: (y, x) of a frame in degrees, instead of `size`.",
            "        resolution: seconds per frame and pixels per degree; the default one as it is now."]
    made.__doc__ = text + mark + "\n".join([*head, *lines]) + "\n" + rest if mark else text
    return made
