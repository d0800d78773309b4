"""The arm that physics loads: pybullet_data's Panda with box finger pads and nothing to see.

``franka_panda/panda.urdf`` of the installed ``pybullet_data`` (Apache-2.0) with the fingers'
collision meshes replaced by boxes, which is what makes grasps hold: with the mesh fingers a shaken
4 cm cube slips 2.3 mm, with boxes less than 1. The <contact> stiffness and damping are kept, grasps
get worse without. Renderers draw from ``visuals``, so the visual meshes are left out. The changed
file is written to the user's cache on first use and nothing of it is shipped.
"""

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from handful_twin.visuals import cache_folder, panda_folder

#: x, y, z edges of a pad in its finger's frame; the inner face is where the fingers meet.
PAD_SIZE_M = (0.02, 0.016, 0.049)
#: With its middle here a pad ends 3.9 mm beyond the tool tip, 1.4 mm short of the mesh, so that the
#: lowest tip height the guard allows (5 mm) stays clear of the table.
PAD_CENTRE_Z_M = 0.026


def arm_urdf() -> Path:
    """Where the model is; written first when it is not there yet.

    Raises:
        MeshError: ``pybullet_data`` has no Panda.
        OSError: the cache cannot be written.
    """
    folder = panda_folder()
    tree = ET.parse(folder / "panda.urdf")
    for link in tree.getroot().iter("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
        for mesh in link.iter("mesh"):
            name = str(mesh.get("filename")).removeprefix("package://")
            mesh.set("filename", str(folder / name))
        if link.get("name") in ("panda_leftfinger", "panda_rightfinger"):
            _replace_with_pad(link, 1.0 if link.get("name") == "panda_leftfinger" else -1.0)
    text = ET.tostring(tree.getroot(), encoding="unicode")
    path = cache_folder() / f"panda-{hashlib.sha256(text.encode()).hexdigest()[:12]}.urdf"
    if not path.is_file():
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".urdf")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    return path


def _replace_with_pad(link: ET.Element, side: float) -> None:
    for collision in link.findall("collision"):
        link.remove(collision)
    collision = ET.SubElement(link, "collision")
    centre = f"0 {0.5 * side * PAD_SIZE_M[1]} {PAD_CENTRE_Z_M}"
    ET.SubElement(collision, "origin", xyz=centre, rpy="0 0 0")
    geometry = ET.SubElement(collision, "geometry")
    ET.SubElement(geometry, "box", size=" ".join(map(str, PAD_SIZE_M)))
