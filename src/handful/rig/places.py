"""Where things truly are, in the words of an episode's log; only a simulator can say it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def told_places(places: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """``true_<thing>_x_m``, ``_y_m``, ``_z_m`` of every thing, for a step's ``info``.

    places: thing -> p_BO (3,) [m]. Rounded to 0.01 mm. For whoever measures what was learned; no
    policy is given it.
    """
    return {
        f"true_{name}_{axis}_m": round(float(value), 5)
        for name, p_BO_m in places.items()
        for axis, value in zip("xyz", p_BO_m, strict=True)
    }
