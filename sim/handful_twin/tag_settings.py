"""Which printed AprilTags are stuck where; ``config/twin.yaml`` and ``config/tags`` say more."""

from typing import Any

from pydantic import Field, model_validator

from handful.config import ConfigError, Settings, read
from handful.rig.reward_settings import Family
from handful_twin.distributions import as_tuples

TABLE = "table"


class PrintedTag(Settings):
    """One AprilTag on white paper, seen and not felt, face up.

    carrier: ``table``, or the name of a thing of the task, whose highest box carries it. id,
    family: of the tag. size_m: edge of the black square; one module of white is around it. at_m:
    x, y of its middle, on the table in B, else from the middle of the box. turn_rad: about the axis
    out of it; at 0 its right as printed is the x of what carries it.
    """

    carrier: str = Field(min_length=1)
    id: int = Field(ge=0)
    size_m: float = Field(gt=0.002, lt=1.0)
    family: Family = "apriltag_36h11"
    at_m: tuple[float, float] = (0.0, 0.0)
    turn_rad: float = 0.0


class TagsSettings(Settings):
    """All of them; true when there are any. Also by the name of a file of ``config/tags``, one that
    ends in ``.yaml``, or as the bare list."""

    printed: tuple[PrintedTag, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.printed)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if value is None or value == "none":
            return {}
        if isinstance(value, str):
            try:
                name = value if value.endswith((".yaml", ".yml")) else f"tags/{value}"
                value = read(name)[0]
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return as_tuples({"printed": value} if isinstance(value, list) else value)

    @model_validator(mode="after")
    def _once_each(self) -> "TagsSettings":
        seen = [(tag.family, tag.id) for tag in self.printed]
        twice = next((one for one in seen if seen.count(one) > 1), None)
        if twice is not None:
            raise ValueError(
                f"tag {twice[1]} of {twice[0]} is printed twice, and of a tag that is seen twice "
                "nobody can say where it is; give each an id of its own"
            )
        return self
