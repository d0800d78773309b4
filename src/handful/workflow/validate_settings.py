"""What `handful validate` does: severities, sensitivities, thresholds; ``config/validate.yaml``."""

from pathlib import Path

from pydantic import Field, model_validator

from handful.config import ConfigError, Settings, build, read
from handful.rig.thresholds import Thresholds

SHIPPED = "validate"


class SeveritySettings(Settings):
    """One severity. sets: as ``--set``, of the groups twin and task only. explore: it acts with the
    noise it has while learning."""

    sets: tuple[str, ...] = ()
    explore: bool = False


class CurveSettings(Settings):
    """One thing that is turned up step by step. set: as ``--set``, with ``{x}`` for the value."""

    set: str
    unit: str
    values: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _has_a_place_for_it(self) -> "CurveSettings":
        if "{x}" not in self.set:
            raise ValueError(f"set {self.set!r} has no {{x}} where the value goes")
        return self


class SensitivitySettings(Settings):
    """Curves over nominal, a few episodes a point."""

    episodes: int = Field(default=25, ge=1)
    curves: dict[str, CurveSettings] = Field(default_factory=dict)


class ValidateSettings(Settings):
    """The whole file. stop_force_n: where the arm's own collision stop trips; null: it has none."""

    episodes: int = Field(default=100, ge=1)
    valid_days: float = Field(default=30.0, gt=0.0)
    films: int = Field(default=6, ge=0)
    stop_force_n: float | None = Field(default=60.0, gt=0.0)
    severities: dict[str, SeveritySettings]
    sensitivity: SensitivitySettings = SensitivitySettings()
    thresholds: Thresholds

    @model_validator(mode="after")
    def _thresholds_are_about_them(self) -> "ValidateSettings":
        unknown = sorted(set(self.thresholds.success_low) - set(self.severities))
        if unknown:
            raise ValueError(
                f"thresholds.success_low names {unknown[0]!r}, which is no severity; "
                f"there are {', '.join(self.severities)}"
            )
        return self


def load_validate(source: str | Path = SHIPPED) -> ValidateSettings:
    """The settings in a YAML file or shipped profile. Raises ``ConfigError``."""
    values, name = read(source)
    return build(ValidateSettings, values, name)


def chosen(settings: ValidateSettings, names: tuple[str, ...]) -> dict[str, SeveritySettings]:
    """The severities of these names, in the file's order; all when none is named.

    Raises ``ConfigError`` for one that is not there.
    """
    unknown = [name for name in names if name not in settings.severities]
    if unknown:
        raise ConfigError(
            f"--severities {unknown[0]}: no such severity; "
            f"there are: {', '.join(settings.severities)}"
        )
    return {n: s for n, s in settings.severities.items() if not names or n in names}
