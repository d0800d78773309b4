"""What a camera of the twin sees of its tags: ``python -m handful_twin.tag_check --tags push``.

Writes the camera's calibration with its mount, as ``handful calibrate camera`` does on a cell, so
that a reward can look for tags through it; and a picture with every tag that was found outlined.
Says how many pixels each has, how often it was found and how far off, over some episodes of the
scripted demonstrator. Ends with 1 when one was never found.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError, load
from handful.rig.calibration import Calibration
from handful.rig.geometry import from_quat_xyzw, pose
from handful.rig.mount import camera_text, mount_of
from handful.rig.reward_tags import TagFinder
from handful_twin.demonstrate import Demonstrator
from handful_twin.settings import TwinSettings
from handful_twin.tag_settings import TABLE, PrintedTag
from handful_twin.tags import tag_pose
from handful_twin.task_env import TwinTaskEnv, make_env
from handful_twin.twin_camera import bolted_to

Array = NDArray[np.float64]


@dataclass
class Sighting:
    """What is known of one tag: pictures it was in, how far off [m] it was where it was found."""

    looked: int = 0
    off_m: list[float] = field(default_factory=list)
    edge_px: float = 0.0


def true_pose(env: TwinTaskEnv, tag: PrintedTag) -> Array:
    """X_BO (4, 4) of a printed tag, now, as only the simulator knows it."""
    X_AO = tag_pose(tag, env.world.shapes)
    if tag.carrier == TABLE:
        return X_AO
    p_m, quat_xyzw = env.world.body_pose(tag.carrier)
    return pose(from_quat_xyzw(quat_xyzw), p_m) @ X_AO


def look(
    env: TwinTaskEnv, camera: str, size: tuple[int, int], episodes: int
) -> tuple[dict[int, Sighting], NDArray[np.uint8]]:
    """(tag's id -> what was seen of it, the first picture with outlines); size: width, height."""
    eye, printed = env.stage.eyes[camera], env.twin.tags.printed
    lens = eye.believed(*size)
    finders = {(tag.family, tag.size_m): TagFinder(tag.family, tag.size_m, lens) for tag in printed}
    seen = {tag.id: Sighting() for tag in printed}
    demonstrator, picture = Demonstrator(env, 0.0), None
    for seed in range(episodes):
        observation, last = env.reset(seed), False
        demonstrator.reset()
        while not last:
            pixels = eye.picture(size[1], size[0])
            drawn = pixels.copy()
            for tag in printed:
                one = seen[tag.id]
                one.looked += 1
                X_CO = finders[tag.family, tag.size_m].find(pixels).get(tag.id)
                if X_CO is not None:
                    off_m = (eye.X_BC() @ X_CO)[:3, 3] - true_pose(env, tag)[:3, 3]
                    one.off_m.append(float(np.linalg.norm(off_m)))
                    one.edge_px = _outline(drawn, lens, X_CO, tag.size_m)
            picture = drawn if picture is None else picture
            step = env.step(demonstrator.act(observation))
            observation, last = step.next_observation, step.last
    assert picture is not None
    return seen, picture


def _outline(picture: NDArray[np.uint8], lens: Calibration, X_CO: Array, size_m: float) -> float:
    """Draw a square around a tag; its mean edge [px]."""
    corners = 0.5 * size_m * np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]], np.float64)
    turn = cv2.Rodrigues(X_CO[:3, :3])[0]
    px = cv2.projectPoints(corners, turn, X_CO[:3, 3], lens.K, lens.D)[0].reshape(4, 2)
    cv2.polylines(picture, [np.rint(px).astype(np.int32)], True, (255, 0, 200), 1, cv2.LINE_AA)
    return float(np.linalg.norm(px - np.roll(px, 1, axis=0), axis=1).mean())


def main(words: list[str] | None = None) -> int:
    """Write the files and print the report; 1 when a tag was never found."""
    parser = argparse.ArgumentParser(prog="handful_twin.tag_check", description=__doc__)
    parser.add_argument("--task", default="push")
    parser.add_argument("--tags", default="push", help="a shipped file, or one of yours")
    parser.add_argument("--camera", default="third")
    parser.add_argument("--size", default="640x480", help="of the picture [px]")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the two files")
    given = parser.parse_args(words)
    width, _, height = given.size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        parser.error(f"--size {given.size}: expected WIDTHxHEIGHT, such as 640x480")
    try:
        env = make_env(given.task, twin=load(TwinSettings, "twin", {"tags": given.tags}))
    except ConfigError as error:
        parser.error(str(error))
    if given.camera not in env.stage.eyes or not env.twin.tags:
        parser.error(f"the twin has the cameras {', '.join(env.stage.eyes)}, and needs a tag")
    eye, size = env.stage.eyes[given.camera], (int(width), int(height))
    seen, picture = look(env, given.camera, size, given.episodes)
    given.out.mkdir(parents=True, exist_ok=True)
    mount = mount_of(*bolted_to(eye, env.world.model))
    text = camera_text(given.camera, eye.believed(*size), mount, ["a camera of the twin, exactly"])
    (given.out / f"{given.camera}.yaml").write_text(text, encoding="utf-8")
    cv2.imwrite(str(given.out / f"{given.camera}.png"), picture[:, :, ::-1])
    env.close()
    for tag, one in seen.items():
        off = 1000.0 * np.array(one.off_m or [np.nan])
        print(
            f"tag {tag}: found in {len(one.off_m)} of {one.looked} pictures, {one.edge_px:.0f} px "
            f"an edge, off by {off.mean():.1f} mm in the mean, {off.max():.1f} mm at most"
        )
    print(f"{given.out / given.camera}.yaml, {given.out / given.camera}.png")
    return int(any(not one.off_m for one in seen.values()))


if __name__ == "__main__":
    raise SystemExit(main())
