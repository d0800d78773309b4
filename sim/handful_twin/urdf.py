"""A URDF on disk: its joints as a tree, its mesh files found, and the copy that physics loads."""

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handful.config import ConfigError
from handful.rig.arm import ArmError
from handful.rig.chain import Joint, read_joint
from handful_twin.arm_settings import SHIPPED, PadSettings
from handful_twin.cache import cache_folder
from handful_twin.meshes import MeshError

#: Of a link for which the URDF has no <inertial>; Bullet would take 1 kg and 1 kg m^2.
_LINK_KG, _LINK_KG_M2 = 0.1, 1e-4
#: How a pad touches where the URDF has no <contact>: as the Panda's fingers in pybullet_data.
_RUBBER = {
    "stiffness": "30000", "damping": "1000", "spinning_friction": "0.1", "lateral_friction": "1.0",
}  # fmt: skip


@dataclass(frozen=True)
class Limb:
    """One joint of the tree. effort: [Nm, or N], 0 when the URDF has none."""

    joint: Joint
    parent: str
    child: str
    effort: float

    @property
    def moves(self) -> bool:
        """Is it anything but fixed?"""
        return self.joint.kind != "fixed"


class Urdf:
    """A robot description. path: of its file. limbs: its joints, parents before children.

    Raises:
        ConfigError: no such file, not a URDF, or a joint no arm here can have.
    """

    def __init__(self, source: str) -> None:
        self.path = _located(source)
        try:
            self._robot = ET.parse(self.path).getroot()
        except (OSError, ET.ParseError) as error:
            raise ConfigError(f"twin.arm.urdf {source}: not a readable URDF: {error}") from None
        self.name = str(self._robot.get("name", self.path.stem))
        self.links = [str(link.get("name")) for link in self._robot.findall("link")]
        self.limbs = list(self._sorted())

    def link(self, name: str) -> str:
        """The name itself.

        Raises:
            ConfigError: there is no such link; the message has all of them.
        """
        if name not in self.links:
            raise ConfigError(
                f"twin.arm: {self.path.name} has no link {name!r}; it has {', '.join(self.links)}"
            )
        return name

    def way(self, base: str, tip: str) -> list[Limb]:
        """The joints from one link down to another, in order.

        Raises:
            ConfigError: the second does not hang below the first.
        """
        above = {limb.child: limb for limb in self.limbs}
        found: list[Limb] = []
        link = self.link(tip)
        while link != self.link(base):
            if link not in above:
                raise ConfigError(
                    f"twin.arm: in {self.path.name} {tip!r} does not hang below {base!r}"
                )
            found.insert(0, above[link])
            link = above[link].parent
        return found

    def below(self, link: str) -> list[Limb]:
        """All joints that hang below a link."""
        inside, found = {link}, []
        for limb in self.limbs:
            if limb.parent in inside:
                inside.add(limb.child)
                found.append(limb)
        return found

    def elements(self, link: str, what: str) -> Iterator[ET.Element]:
        """The <visual> or <collision> elements of a link."""
        for element in self._robot.findall("link"):
            if element.get("name") == link:
                yield from element.findall(what)

    def colours(self) -> dict[str, str]:
        """Names of materials to their rgba, as written."""
        found = {}
        for material in self._robot.iter("material"):
            colour = material.find("color")
            if colour is not None:
                found[str(material.get("name"))] = str(colour.get("rgba"))
        return found

    def mesh(self, filename: str) -> Path:
        """The file that a <mesh> names: ``package://``, ``file://``, or beside the URDF.

        Raises:
            MeshError: it is nowhere.
        """
        path = Path(filename.removeprefix("package://").removeprefix("file://"))
        folders = [self.path.parent, *self.path.parent.parents]
        for folder in folders:  # a package's folder stands somewhere above its URDFs
            for tail in (path, Path(*path.parts[1:])):
                if (folder / tail).is_file():
                    return folder / tail
        raise MeshError(f"{self.path}: its mesh {filename} is not there")

    def for_physics(self, pads: Mapping[str, PadSettings]) -> Path:
        """A copy without visuals, with whole paths and pads in place of their links' collisions.


        Written to the user's cache on first use.

        Raises:
            MeshError: a mesh is missing.
            OSError: the cache cannot be written.
        """
        robot = ET.fromstring(ET.tostring(self._robot))
        for name in ("material", "gazebo", "transmission"):
            for element in robot.findall(name):
                robot.remove(element)
        for link in robot.findall("link"):
            for visual in link.findall("visual"):
                link.remove(visual)
            if link.find("inertial") is None:
                _give_mass(link)
            pad = pads.get(str(link.get("name")))
            if pad is not None:
                _replace_with_pad(link, pad)
        for mesh in robot.iter("mesh"):
            mesh.set("filename", str(self.mesh(str(mesh.get("filename")))))
        text = ET.tostring(robot, encoding="unicode")
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        path = cache_folder() / f"{self.path.stem}-{digest}.urdf"
        if not path.is_file():
            handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".urdf")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        return path

    def _sorted(self) -> Iterator[Limb]:
        waiting = [self._limb(element) for element in self._robot.findall("joint")]
        children = {limb.child for limb in waiting}
        known = {link for link in self.links if link not in children}
        while waiting:
            ready = [limb for limb in waiting if limb.parent in known]
            if not ready:
                raise ConfigError(
                    f"twin.arm: in {self.path.name} joint {waiting[0].joint.name!r} hangs on "
                    f"{waiting[0].parent!r}, which no link leads to"
                )
            for limb in ready:
                known.add(limb.child)
                waiting.remove(limb)
                yield limb

    def _limb(self, element: ET.Element) -> Limb:
        def link(role: str) -> str:
            found = element.find(role)
            return "" if found is None else str(found.get("link"))

        limit = element.find("limit")
        try:
            effort = 0.0 if limit is None else float(limit.get("effort", "0"))
            return Limb(read_joint(element, mimics=True), link("parent"), link("child"), effort)
        except (ArmError, ValueError) as error:
            raise ConfigError(f"twin.arm: {self.path.name}: {error}") from None


def _located(source: str) -> Path:
    if not source.startswith(SHIPPED):
        path = Path(source).expanduser()
        if not path.is_file():
            raise ConfigError(f"twin.arm.urdf: there is no file {path}")
        return path
    import pybullet_data

    path = Path(pybullet_data.getDataPath()) / source.removeprefix(SHIPPED)
    if not path.is_file():
        raise MeshError(f"{path}: not there; reinstall pybullet, which brings it")
    return path


def _give_mass(link: ET.Element) -> None:
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "mass", value=str(_LINK_KG))
    diagonal = dict.fromkeys(("ixx", "iyy", "izz"), str(_LINK_KG_M2))
    ET.SubElement(inertial, "inertia", {**diagonal, "ixy": "0", "ixz": "0", "iyz": "0"})


def _replace_with_pad(link: ET.Element, pad: PadSettings) -> None:
    for collision in link.findall("collision"):
        link.remove(collision)
    if link.find("contact") is None:
        contact = ET.SubElement(link, "contact")
        ET.SubElement(contact, "friction_anchor")
        for key, value in _RUBBER.items():
            ET.SubElement(contact, key, value=value)
    collision = ET.SubElement(link, "collision")
    ET.SubElement(collision, "origin", xyz=_words(pad.centre_m), rpy="0 0 0")
    geometry = ET.SubElement(collision, "geometry")
    ET.SubElement(geometry, "box", size=_words(pad.size_m))


def _words(numbers: tuple[float, ...]) -> str:
    return " ".join(str(float(x)) for x in np.asarray(numbers))
