"""One connection to PyBullet, which knows whether it is still open."""

import pybullet


class WorldError(RuntimeError):
    """A world that cannot do what is asked; the message says why."""


class Client:
    """One connection, which knows whether it is still open.

    PyBullet gives a closed client's number to the next one, so whoever clears up late, as a
    forgotten ``WorldState`` does, must not go by the number.
    """

    def __init__(self) -> None:
        self.id = int(pybullet.connect(pybullet.DIRECT))
        if self.id < 0:
            raise WorldError("PyBullet has no free client; close some worlds (1024 at most)")
        self._open = True

    def remove_state(self, bullet_id: int) -> None:
        """Forget a saved state; nothing when the connection is closed."""
        if self._open:
            pybullet.removeState(bullet_id, physicsClientId=self.id)

    def disconnect(self) -> None:
        """Close it; twice is safe."""
        if self._open:
            self._open = False
            pybullet.disconnect(physicsClientId=self.id)
