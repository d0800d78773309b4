"""The ROS half of scripts/setup.sh, against fakes of apt, catkin and Python that take notes."""

from pathlib import Path

import pytest
from setup_kit import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def debian(tmp_path: Path) -> Checkout:
    """A system whose apt has ROS; ``checkout.apt`` lists what was installed, by line."""
    checkout = Checkout(tmp_path)
    installed = f'grep -qw -- "${{@: -1}}" {checkout.apt} 2>/dev/null'
    checkout.command("dpkg-query", f"{installed} && echo -n installed")
    checkout.command("apt-cache", "exit 0")
    build = f"""echo "$@" >>{checkout.folder}/built; mkdir -p build
        echo "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD/src" >build/CMakeCache.txt
        echo "PYTHON_EXECUTABLE:FILEPATH=${{1#*=}}" >>build/CMakeCache.txt"""
    checkout.command("catkin_make.later", build)
    become = f"cp {checkout.bin}/catkin_make.later {checkout.bin}/catkin_make"
    become += f"; cp {checkout.bin}/catkin_make.later {checkout.bin}/roscore"
    checkout.command("apt-get", f'[ "$1" = update ] || {{ echo "$@" >>{checkout.apt}; {become}; }}')
    return checkout


def test_developing_goes_on_where_there_is_no_ros_and_says_so_once(checkout: Checkout) -> None:
    first, second = checkout.setup("dev"), checkout.setup("dev")
    assert first.returncode == 0, first.stderr
    assert "no ROS: there is no apt-get here" in first.stdout and "skipped" in first.stdout
    assert (second.returncode, second.stdout) == (0, "")


def test_developing_goes_on_where_apt_has_no_ros(checkout: Checkout) -> None:
    checkout.command("apt-get", "exit 0")
    checkout.command("apt-cache", "exit 100")
    done = checkout.setup("dev")
    assert done.returncode == 0 and "this system's apt has no ROS 1" in done.stdout


def test_a_robot_without_ros_is_refused_before_the_long_downloads(checkout: Checkout) -> None:
    done = checkout.setup("ros")
    assert done.returncode == 1 and "no ROS" in done.stderr
    assert not (checkout.folder / ".venv").exists()
    assert checkout.setup("run").returncode == 0


def test_without_rights_developing_goes_on_and_names_the_command(debian: Checkout) -> None:
    debian.command("id", "echo 1000")
    debian.command("sudo", "exit 1")
    done = debian.setup("dev")
    assert done.returncode == 0
    assert "sh -c 'apt-get update && apt-get install -y --no-install-recommends make" in done.stdout
    assert debian.setup("ros").returncode == 1


@pytest.mark.parametrize("kind", ["ros", "dev"])
def test_with_ros_in_apt_everything_is_installed_and_built_once(
    debian: Checkout, kind: str
) -> None:
    done = debian.setup(kind)
    assert done.returncode == 0, done.stderr
    assert {"python3-rospy", "rosbash", "libusb-1.0-0"} <= set(debian.apt.read_text().split())
    venv = f"-DPYTHON_EXECUTABLE={debian.folder}/.venv/bin/python3"
    assert (debian.folder / "built").read_text().split() == [venv]
    assert (debian.folder / ".catkin/src/handful/package.xml").exists()
    assert any("-rrequirements-ros.txt" in line for line in debian.take_notes())
    for again in {"run", "ros", kind}:
        assert debian.setup(again).stdout == ""


def test_only_what_is_missing_is_installed(debian: Checkout) -> None:
    debian.apt.write_text("python3-rospy rosbash\n")
    debian.setup("ros")
    asked = debian.apt.read_text().splitlines()[1]
    assert "python3-roslaunch" in asked.split() and "python3-rospy" not in asked.split()


@pytest.mark.parametrize("name", ["msg/Action.msg", "srv/Halt.srv", "CMakeLists.txt"])
def test_a_changed_message_is_built_and_nothing_else_is_done(debian: Checkout, name: str) -> None:
    debian.setup("dev")
    debian.take_notes()
    (debian.folder / name).open("a").write("# changed\n")
    done = debian.setup("dev")
    assert done.returncode == 0 and "building the ROS messages" in done.stdout
    assert len((debian.folder / "built").read_text().splitlines()) == 2
    assert debian.take_notes() == []


def test_ros_that_came_later_is_noticed(debian: Checkout) -> None:
    debian.command("apt-cache", "exit 100")
    assert "no ROS" in debian.setup("dev").stdout
    debian.command("apt-cache", "exit 0")
    assert debian.setup("dev").stdout == ""
    debian.command("roscore", "exit 0")
    assert "building the ROS messages" in debian.setup("dev").stdout


def test_a_python_that_does_not_see_rospy_is_named(debian: Checkout) -> None:
    done = debian.setup("ros", FAKE_NO_ROSPY="1")
    assert done.returncode == 1 and "does not see rospy" in done.stderr
    assert debian.setup("dev", FAKE_NO_ROSPY="1").returncode == 0


def test_a_failed_build_names_its_log_and_is_tried_again(debian: Checkout) -> None:
    (debian.bin / "catkin_make.later").write_text("#!/bin/bash\necho no such message; exit 1\n")
    for _ in range(2):
        done = debian.setup("dev")
        assert done.returncode == 1
        assert "no such message" in done.stderr and ".catkin/build.log" in done.stderr


def test_a_moved_checkout_builds_its_messages_anew(debian: Checkout) -> None:
    debian.setup("ros")
    (debian.folder / ".catkin/old").touch()
    moved = debian.folder.with_name("elsewhere")
    debian.folder.rename(moved)
    debian.folder = moved
    done = debian.setup("ros")
    assert done.returncode == 0 and "building the ROS messages" in done.stdout
    assert not (moved / ".catkin/old").exists()
