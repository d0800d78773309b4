"""What a terminal sends, as names of keys: single characters, and arrows out of their escapes."""

_ESC = "\x1b"
_ALONE_S = 0.05  # an arrow key's characters follow its escape at once, a finger does not
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_TILDE = {"1": "home", "4": "end", "5": "pageup", "6": "pagedown", "7": "home", "8": "end"}


class KeyNames:
    """Characters, however they are cut into pieces, to key names in order.

    A name is one lower-case character, or one of ``rig.teleop.settings.ARROWS``. Function keys and
    whatever else begins with an escape have no name. A lone escape is a key, but only ``settle``
    can know that it was alone.
    """

    def __init__(self) -> None:
        self._escape: tuple[str, float] | None = None

    def feed(self, characters: str, now_s: float) -> list[str]:
        """The keys in ``characters``, which came at ``now_s`` (monotonic) [s]."""
        found = self.settle(now_s)
        for character in characters.replace("\r", "\n"):
            if self._escape is not None:
                found += self._escaped(character, now_s)
            elif character == _ESC:
                self._escape = (_ESC, now_s)
            else:
                found.append(character.lower())
        return found

    def settle(self, now_s: float) -> list[str]:
        """The escape that nothing has followed; call it a few times a second."""
        if self._escape is None or now_s - self._escape[1] < _ALONE_S:
            return []
        alone, self._escape = self._escape[0] == _ESC, None
        return [_ESC] if alone else []

    def _escaped(self, character: str, now_s: float) -> list[str]:
        """One more character of what began with an escape: ESC [ ... letter, or ESC letter."""
        assert self._escape is not None
        so_far, since_s = self._escape
        if so_far == _ESC and character in "[O":
            self._escape = (so_far + character, since_s)
        elif so_far == _ESC:
            self._escape = None
        elif "@" <= character <= "~":
            self._escape = None
            name = _TILDE.get(so_far[2:]) if character == "~" else _FINAL.get(character)
            return [name] if name else []
        else:
            self._escape = (so_far + character, since_s)
        return []
