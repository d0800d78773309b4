"""Masses, friction, gains and the table's height of one episode, and how a world puts them on.

``restoreState`` brings none of these back, so whoever restores a moment applies its tuning again;
``World`` does that for its own states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pybullet


@dataclass(frozen=True)
class Tuning:
    """Factors on what a world was made with, 1 leaving it as it is.

    mass, friction: thing -> factor. table_height_m: of the table, and of what is put on it.
    """

    mass: Mapping[str, float] = field(default_factory=dict)
    friction: Mapping[str, float] = field(default_factory=dict)
    finger_friction: float = 1.0
    table_friction: float = 1.0
    position_gain: float = 1.0
    velocity_gain: float = 1.0
    grip_force: float = 1.0
    table_height_m: float = 0.0


class Dynamics:
    """The masses and frictions of some bodies as they were made, to scale and to come back to.

    mass: name -> body whose own mass is scaled. friction: name -> body and those of its links whose
    friction is; -1 is the base.
    """

    def __init__(
        self, client: int, mass: Mapping[str, int], friction: Mapping[str, tuple[int, list[int]]]
    ) -> None:
        self._client = client
        self._mass = {name: (body, self._made(body, -1)[0]) for name, body in mass.items()}
        self._friction = {
            name: [(body, link, self._made(body, link)[1]) for link in links]
            for name, (body, links) in friction.items()
        }
        self._scaled: dict[str, float] = {}
        self._rubbed: dict[str, float] = {}

    def scale(self, mass: Mapping[str, float], friction: Mapping[str, float]) -> None:
        """Make every mass and friction its own factor times what it was made with.

        Nothing is told to Bullet that it knows already; names without a factor have 1. A mass of a
        rigid body takes its inertia along, which Bullet computes from the shape.
        """
        for name, (body, made_kg) in self._mass.items():
            factor = mass.get(name, 1.0)
            if factor != self._scaled.get(name, 1.0):
                self._scaled[name] = factor
                pybullet.changeDynamics(
                    body, -1, mass=factor * made_kg, physicsClientId=self._client
                )
        for name, surfaces in self._friction.items():
            factor = friction.get(name, 1.0)
            if factor != self._rubbed.get(name, 1.0):
                self._rubbed[name] = factor
                for body, link, made in surfaces:
                    pybullet.changeDynamics(
                        body, link, lateralFriction=factor * made, physicsClientId=self._client
                    )

    def _made(self, body: int, link: int) -> tuple[float, float]:
        info = pybullet.getDynamicsInfo(body, link, physicsClientId=self._client)
        return float(info[0]), float(info[1])
