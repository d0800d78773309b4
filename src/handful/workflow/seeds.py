"""Who may draw which random world: seed ranges that cannot meet, so no episode is seen twice.

A run has one small seed (``--seed``, 0 to 99). Episode ``i`` of a purpose resets the task with

======== ====================== ==================================================================
purpose  first seed             used by
======== ====================== ==================================================================
DEMO     1,000,000 + 10,000 s   ``handful collect``: scripted demonstrations
TRAIN    2,000,000 + 10,000 s   ``handful train``: the agent's own episodes
CHECK    3,000,000 + 10,000 s   evaluations *during* training; may stop the run, so never the result
TEST     4,000,000 + 10,000 s   ``handful evaluate``: the number that is reported
PROBE    5,000,000 + 10,000 s   held-out frames on which the report looks at the encoder
VALIDATE 6,000,000 + 10,000 s   ``handful validate``: what the certificate is about
PLAY     7,000,000 + 10,000 s   ``handful collect --play``: wandering, for the contrast alone
======== ====================== ==================================================================

Evaluating with another ``--seed`` than the run was trained with is as unseen as with the same.
"""

from enum import IntEnum

from handful.config import ConfigError

SEEDS = 100
EPISODES = 10_000


class Purpose(IntEnum):
    """First episode seed of each purpose."""

    DEMO = 1_000_000
    TRAIN = 2_000_000
    CHECK = 3_000_000
    TEST = 4_000_000
    PROBE = 5_000_000
    VALIDATE = 6_000_000
    PLAY = 7_000_000


def episode_seed(purpose: Purpose, seed: int, index: int) -> int:
    """The seed with which episode ``index`` of a purpose resets the task.

    Raises:
        ConfigError: ``seed`` outside 0..99 or ``index`` outside 0..9999; beyond those the ranges
            would meet and an "unseen" episode might have been trained on.
    """
    if not 0 <= seed < SEEDS:
        raise ConfigError(f"--seed {seed}: expected 0 to {SEEDS - 1}")
    if not 0 <= index < EPISODES:
        raise ConfigError(
            f"episode {index}: a run has at most {EPISODES} episodes of a kind, so that the seeds "
            "of training and evaluation never meet; start a new run with another --seed"
        )
    return int(purpose) + EPISODES * seed + index
