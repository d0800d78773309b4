"""Which frames of an episode show success: what its end, or a person's word about it, implies.

The last frames of a successful episode were held success; those just before are nobody's to say;
all others, and all of an episode that failed, are none. A person's relabelling (``rig.edits``) is
in force in what the log reads back, and so in here.
"""

import numpy as np
from numpy.typing import NDArray

from handful.rig.playback import Episode


def ended_in_success(episode: Episode) -> bool:
    """Whether the episode ended in success: rewarded, and its future is over."""
    last = episode.transitions[-1]
    return last.last and last.discount == 0.0 and last.reward > 0.0


def labels(frames: int, success: bool, positive: int, dead: int) -> NDArray[np.int8]:
    """Labels of an episode's frames: 1 success, 0 none, -1 nobody can say.

    Args:
        frames: how many, the first observation included. success: how it ended.
        positive: last frames of a success that show it. dead: frames before those that may.
    """
    said = np.zeros(frames, np.int8)
    if success:
        said[max(0, frames - positive - dead) :] = -1
        said[max(0, frames - positive) :] = 1
    return said
