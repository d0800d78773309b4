"""Distributions of numbers, as YAML has them: ``0.3`` or ``{uniform: [0.2, 0.4]}``, drawn by rank.

A draw turns one uniform number between 0 and 1 into a value (the quantile function; Devroye,
"Non-Uniform Random Variate Generation", 1986, chapter II.2), whatever the distribution. So every
setting uses up exactly one number of its generator: widening one range, or taking it out, leaves
all other draws of a seed what they were, and the same seed is as far out in a mild file as in a
hard one.
"""

import math
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import AfterValidator, ConfigDict, model_serializer, model_validator
from scipy.special import ndtr, ndtri

from handful.config import Settings

#: A normal distribution is cut off this many standard deviations from its mean.
CUT_SIGMAS = 3.0
_CUT_RANK = float(ndtr(-CUT_SIGMAS))

Pair = tuple[float, float]


class Distribution(Settings):
    """One of: a number; uniform [low, high]; log_uniform [low, high], both above 0; normal [mean,
    standard deviation], cut at 3 of them; choice [a, b, ...], all alike."""

    model_config = ConfigDict(title="a distribution")

    constant: float | None = None
    uniform: Pair | None = None
    log_uniform: Pair | None = None
    normal: Pair | None = None
    choice: tuple[float, ...] | None = None

    @property
    def low(self) -> float:
        """The smallest value it can take."""
        return self._ends()[0]

    @property
    def high(self) -> float:
        """The largest value it can take."""
        return self._ends()[1]

    def at(self, rank: float) -> float:
        """The value below which a share ``rank`` (0 to 1) of all draws lies."""
        # Rounding must not leave the range.
        if self.uniform is not None:
            low, high = self.uniform
            return min(max(low + rank * (high - low), low), high)
        if self.constant is not None:
            return self.constant
        if self.log_uniform is not None:
            low, high = self.log_uniform
            return min(max(low * (high / low) ** rank, low), high)
        if self.normal is not None:
            mean, sigma = self.normal
            value = mean + sigma * float(ndtri(_CUT_RANK + rank * (1.0 - 2.0 * _CUT_RANK)))
            return min(max(value, self.low), self.high)
        assert self.choice is not None
        return self.choice[min(int(rank * len(self.choice)), len(self.choice) - 1)]

    def draw(self, rng: np.random.Generator) -> float:
        """A value; takes one number from ``rng``."""
        return self.at(float(rng.random()))

    def _ends(self) -> Pair:
        if self.normal is not None:
            mean, sigma = self.normal
            return mean - CUT_SIGMAS * sigma, mean + CUT_SIGMAS * sigma
        if self.choice is not None:
            return min(self.choice), max(self.choice)
        if self.constant is not None:
            return self.constant, self.constant
        ends = self.uniform or self.log_uniform
        assert ends is not None
        return ends

    @model_validator(mode="before")
    @classmethod
    def _a_number_is_one_too(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"constant": value}
        if isinstance(value, dict | Distribution):
            return as_tuples(value)
        raise ValueError(
            "must be a number or a distribution such as {uniform: [0.9, 1.1]}; "
            "there are uniform, log_uniform, normal and choice"
        )

    @model_validator(mode="after")
    def _possible(self) -> "Distribution":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "name one distribution of uniform, log_uniform, normal and choice, "
                + (f"got {' and '.join(given)}" if given else "got none")
            )
        for name in ("uniform", "log_uniform"):
            ends = getattr(self, name)
            if ends is not None and ends[0] > ends[1]:
                raise ValueError(f"{name}: low {ends[0]} is above high {ends[1]}")
        if self.log_uniform is not None and self.log_uniform[0] <= 0.0:
            raise ValueError(f"log_uniform: low must be above 0, got {self.log_uniform[0]}")
        if self.normal is not None and self.normal[1] < 0.0:
            raise ValueError(f"normal: the standard deviation is below 0: {self.normal[1]}")
        if self.choice is not None and not self.choice:
            raise ValueError("choice: name at least one number")
        return self

    @model_serializer(mode="plain")
    def _as_written(self) -> Any:
        if self.constant is not None:
            return self.constant
        name = next(n for n in type(self).model_fields if getattr(self, n) is not None)
        return {name: list(getattr(self, name))}


def as_tuples(value: Any) -> Any:
    """Lists as tuples, all the way down: what a strict schema takes after a validator's hands."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value


def constant(value: float) -> Distribution:
    """Always the same number."""
    return Distribution(constant=float(value))


def _within(low: float, high: float, words: str) -> AfterValidator:
    def check(value: Distribution) -> Distribution:
        if not (low <= value.low and value.high <= high):
            raise ValueError(
                f"must lie {words}, this lies between {value.low:g} and {value.high:g}"
            )
        return value

    return AfterValidator(check)


_TINY = 1e-9
#: Any number: a shift. Units stand at the keys.
Shift: TypeAlias = Distribution
#: A factor on what is there: above 0, and no more than a hundredfold.
Factor: TypeAlias = Annotated[Distribution, _within(_TINY, 100.0, "above 0 and at most at 100")]
#: A standard deviation or a duration: never below 0.
Amount: TypeAlias = Annotated[Distribution, _within(0.0, math.inf, "at or above 0")]
#: A share of something whole.
Share: TypeAlias = Annotated[Distribution, _within(0.0, 1.0, "between 0 and 1")]
