"""Message packages that Debian lacks, made at test time: field names and types as documented.

Written from the packages' published interface tables, fields only, and run through Debian's own
generators. ``make(folder)`` returns a folder for ``PYTHONPATH``.
"""

import subprocess
import sys
from pathlib import Path

_ERRORS = """
bool joint_position_limits_violation
bool cartesian_position_limits_violation
bool joint_reflex
bool cartesian_reflex
bool communication_constraints_violation
bool power_limit_violation
"""
_FRANKA_STATE = """
uint8 ROBOT_MODE_OTHER=0
uint8 ROBOT_MODE_IDLE=1
uint8 ROBOT_MODE_MOVE=2
uint8 ROBOT_MODE_GUIDING=3
uint8 ROBOT_MODE_REFLEX=4
uint8 ROBOT_MODE_USER_STOPPED=5
uint8 ROBOT_MODE_AUTOMATIC_ERROR_RECOVERY=6
Header header
float64[7] q
float64[7] dq
float64[16] O_T_EE
uint8 robot_mode
franka_msgs/Errors current_errors
franka_msgs/Errors last_motion_errors
"""
_FOLLOW = """
trajectory_msgs/JointTrajectory trajectory
JointTolerance[] path_tolerance
JointTolerance[] goal_tolerance
duration goal_time_tolerance
---
int32 SUCCESSFUL=0
int32 INVALID_GOAL=-1
int32 INVALID_JOINTS=-2
int32 OLD_HEADER_TIMESTAMP=-3
int32 PATH_TOLERANCE_VIOLATED=-4
int32 GOAL_TOLERANCE_VIOLATED=-5
int32 error_code
string error_string
---
Header header
string[] joint_names
trajectory_msgs/JointTrajectoryPoint desired
trajectory_msgs/JointTrajectoryPoint actual
trajectory_msgs/JointTrajectoryPoint error
"""
_GRIP = """
GripperCommand command
---
float64 position
float64 effort
bool stalled
bool reached_goal
---
float64 position
float64 effort
bool stalled
bool reached_goal
"""
_GRASP = """
float64 width
GraspEpsilon epsilon
float64 speed
float64 force
---
bool success
string error
---
"""
_UR_ROBOT = """
int8 NO_CONTROLLER=-1
int8 DISCONNECTED=0
int8 POWER_OFF=3
int8 IDLE=5
int8 RUNNING=7
int8 mode
"""
_UR_SAFETY = """
uint8 NORMAL=1
uint8 REDUCED=2
uint8 PROTECTIVE_STOP=3
uint8 ROBOT_EMERGENCY_STOP=7
uint8 mode
"""
PACKAGES = {
    "control_msgs": {
        "JointTolerance.msg": "string name\nfloat64 position\nfloat64 velocity\n"
        "float64 acceleration\n",
        "GripperCommand.msg": "float64 position\nfloat64 max_effort\n",
        "FollowJointTrajectory.action": _FOLLOW,
        "GripperCommand.action": _GRIP,
    },
    "franka_msgs": {"Errors.msg": _ERRORS, "FrankaState.msg": _FRANKA_STATE},
    "franka_gripper": {
        "GraspEpsilon.msg": "float64 inner\nfloat64 outer\n",
        "Grasp.action": _GRASP,
        "Move.action": "float64 width\nfloat64 speed\n---\nbool success\nstring error\n---\n",
    },
    "ur_dashboard_msgs": {"RobotMode.msg": _UR_ROBOT, "SafetyMode.msg": _UR_SAFETY},
    "robotiq_2f_gripper_control": {
        "Robotiq2FGripper_robot_output.msg": "".join(
            f"uint8 r{name}\n" for name in ("ACT", "GTO", "ATR", "PR", "SP", "FR")
        ),
        "Robotiq2FGripper_robot_input.msg": "".join(
            f"uint8 g{name}\n" for name in ("ACT", "GTO", "STA", "OBJ", "FLT", "PR", "PO", "CU")
        ),
    },
}
_GENERATORS = Path("/usr/lib")


def make(folder: Path) -> Path:
    """Write and generate every package below ``folder``; what is there already is kept."""
    out = folder / "python"
    if out.is_dir():
        return out
    sources = {name: folder / "msg" / name for name in PACKAGES}
    for name, files in PACKAGES.items():
        sources[name].mkdir(parents=True)
        for file, text in files.items():
            (sources[name] / file).write_text(text)
            if file.endswith(".action"):
                genaction = _GENERATORS / "actionlib_msgs" / "genaction.py"
                _run(genaction, sources[name] / file, "-o", sources[name])
    known = [f"-I{p.parent.name}:{p}" for p in Path("/usr/share").glob("*_msgs/msg")]
    known += [f"-I{name}:{path}" for name, path in sources.items()]
    genpy = _GENERATORS / "genpy" / "genmsg_py.py"
    for name, path in sources.items():
        module = out / name / "msg"
        module.mkdir(parents=True)
        (out / name / "__init__.py").touch()
        _run(genpy, *sorted(path.glob("*.msg")), *known, "-p", name, "-o", module)
        _run(genpy, "--initpy", "-p", name, "-o", module)
    return out


def _run(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)
