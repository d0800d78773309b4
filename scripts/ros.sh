# shellcheck shell=bash
# The ROS half of scripts/setup.sh, which reads this file: Debian's packages, and our messages.
#
# Everything here is Debian's own ROS (ros_comm 1.15), found by its names in apt. Another ROS 1 that
# the shell has sourced, such as ROS One or RoboStack, is taken as it is.

# Set by setup.sh, which reads this: where, what for, and the PYTHONPATH that a sourced ROS has set.
here=${here:?} python=${python:?} venv=${venv:?} kind=${kind:?} ros_path=${ros_path-}
workspace=$here/.catkin

ros_packages() {
    # Building: catkin, and .msg files, cmake configuration and Python of what our messages use.
    echo make cmake g++ catkin python3-catkin-pkg ros-message-generation \
        ros-std-msgs libstd-msgs-dev python3-std-msgs ros-geometry-msgs libgeometry-msgs-dev python3-geometry-msgs
    # Running: package.xml, and the commands that docs/ros.md uses.
    echo rosbash python3-rospy python3-roslaunch python3-rosbag python3-rosnode python3-rosparam \
        python3-rosservice python3-rostopic python3-rosmsg python3-sensor-msgs python3-trajectory-msgs \
        python3-diagnostic-msgs python3-visualization-msgs ros-std-srvs python3-std-srvs python3-actionlib \
        python3-actionlib-msgs python3-tf python3-tf2-ros python3-message-filters ros-robot-state-publisher
    # rostopic and rosmsg look at .msg files; rostest is for the tests; librealsense opens libusb.
    echo ros-sensor-msgs ros-trajectory-msgs ros-diagnostic-msgs ros-visualization-msgs ros-actionlib-msgs \
        python3-rostest librostest-dev libusb-1.0-0
}

# What the messages are made of: their sources, how they are built, by which Python and where.
messages_stamp() {
    { cat msg/*.msg srv/*.srv CMakeLists.txt package.xml setup.py; ls nodes; echo "$here $(readlink -f "$venv/bin/python3")"; } |
        sha256sum
}
messages_are_ready() { [ "$(cat "$workspace/.ready" 2>/dev/null)" = "$(messages_stamp)" ]; }

# Developing goes on where ROS cannot be had; installed by hand later, it is noticed.
does_without() { [ "$kind" = dev ] && [ -e "$venv/.without-ros" ] && ! command -v roscore >/dev/null; }
ros_is_ready() { [ "$kind" = run ] || messages_are_ready || does_without; }

# A ROS that somebody has sourced: it has the commands, and this Python sees its modules.
has_other_ros() {
    local roscore
    roscore=$(command -v roscore) && [ "$roscore" != /usr/bin/roscore ] && command -v catkin_make rostest >/dev/null &&
        PYTHONPATH=$ros_path "$python" -c 'import rospy, catkin_pkg, genpy, actionlib, tf2_ros, diagnostic_msgs.msg, sensor_msgs.msg' 2>/dev/null
}

# Ends with 1 after saying why, when ROS is not to be had on this system.
install_ros() {
    local missing=() each
    has_other_ros && return 0
    for each in $(ros_packages); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$each" 2>/dev/null)" = installed ] || missing+=("$each")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || { no_ros "there is no apt-get here and no ROS was sourced"; return 1; }
    may_install || {
        no_ros "no right to install ROS. As root:" "    sh -c 'apt-get update && apt-get install -y --no-install-recommends ${missing[*]}'"
        return 1
    }
    # Also where the lists are old or were never fetched, as in a fresh container.
    apt_update
    apt-cache show python3-rospy ros-message-generation >/dev/null 2>&1 ||
        { no_ros "this system's apt has no ROS 1; Debian 12 and 13 and Ubuntu 22.04 do"; return 1; }
    apt_install ROS "${missing[@]}" || { no_ros "apt-get failed; all it said is in .setup-apt.log"; return 1; }
}

no_ros() {
    if [ "$kind" = dev ]; then
        say "no ROS: $1; the tests that need it will be skipped" "${@:2}"
    else
        fail "no ROS: $1." "${@:2}" "handful without ROS needs none of this: make demo"
    fi
}

build_messages() {
    local cache=$workspace/build/CMakeCache.txt
    # One python must see both ROS and the packages of .venv.
    PYTHONPATH=$ros_path "$venv/bin/python" -c 'import rospy, catkin_pkg' 2>/dev/null || {
        no_ros "$python does not see rospy, which apt installs for /usr/bin/python3" "    make clean, then make again without PYTHON="
        return 1
    }
    say "building the ROS messages (.catkin)"
    # A moved checkout, or another Python: cmake remembers both.
    if [ -e "$cache" ] && ! { grep -q "^CMAKE_HOME_DIRECTORY:INTERNAL=$workspace/src$" "$cache" &&
        grep -q "^PYTHON_EXECUTABLE:.*=$venv/bin/python3$" "$cache"; }; then
        rm -rf "$workspace"
    fi
    mkdir -p "$workspace/src"
    rm -f "$workspace/.ready"
    ln -sfn ../.. "$workspace/src/handful"
    (cd "$workspace" && PYTHONPATH=$ros_path catkin_make "-DPYTHON_EXECUTABLE=$venv/bin/python3") >"$workspace/build.log" 2>&1 ||
        { tail -n 15 "$workspace/build.log" >&2; fail "catkin_make failed; all it said is in .catkin/build.log."; }
    messages_stamp >"$workspace/.ready"
}
