"""The twin of the cell: the rig's own loop over PyBullet cameras and a PyBullet arm.

The way of one step, file by file: ``demonstrate`` or a policy acts on ``task_env`` (or on ``env``,
the same thing for Gymnasium), which drives a ``stage``; the rig's loop sends a command to
``twin_arm``, which asks ``kinematics`` for joints and lets ``world`` step physics (``arm_model`` is
what both know of the arm, made of a ``urdf`` and ``arm_settings``; ``arm_loaded`` puts it into
physics, ``arm_check`` shows it); ``twin_camera`` asks a renderer of ``renderers`` for a picture of
the ``scene``
(``raster`` with its ``raster_kernels`` is the fast one, ``visuals``, ``shapes`` and ``meshes`` are
what it draws); ``tasks`` says what stands on the table (made of ``bodies``), where it starts, what
success is; ``plugins`` adds those of other packages. ``settings`` has the numbers.

On request less than perfect: ``randomize_settings`` and ``distributions`` say what may differ from
episode to episode, ``randomize`` draws it, and the stage puts it on: ``tuning`` on the world,
``paint`` on the renderer (``raster_patterns`` draws patterns), ``sensor`` on cameras and encoders
with a ``noise`` that needs no generator. ``tags`` prints AprilTags on things and table as
``tag_settings`` say, ``tag_check`` shows what a camera sees of them.
``delays`` are things on their way, ``late`` lets them arrive in the rig's loop. ``lens`` bends a
calibrated camera's picture. ``client`` is PyBullet's connection,
``contact_sheet`` a picture of many draws, ``cache`` where made meshes are kept.

Beside a clock, in the robot's place: ``live`` lets the same stage run by itself with delays and
noise, ``live_thread`` ties it to the wall. Beside an arm, ``shadow`` goes where the same commands
take it.
"""

from handful_twin.env import HandfulEnv, register
from handful_twin.plugins import add_task, load_plugins
from handful_twin.task_env import TwinTaskEnv, make_env

register()
load_plugins()

__all__ = ["HandfulEnv", "TwinTaskEnv", "add_task", "make_env"]
