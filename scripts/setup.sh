#!/usr/bin/env bash
# Makes .venv ready for running (`run`), for a robot (`ros`) or for developing (`dev`); a few milliseconds when it already is.
#
#   scripts/setup.sh run    what `make demo` needs: requirements.txt and handful itself
#   scripts/setup.sh ros    the same, and what `make robot-demo` needs: requirements-ros.txt, Debian's ROS, our messages
#   scripts/setup.sh dev    the same, and what `make test` and `make check` need: requirements-dev.txt, and, where it can be had,
#                           requirements-dmc.txt, so that the benchmark on known tasks is tested too
#
# Where there is no ROS to be had, `dev` says so and goes on, and `ros` ends.
#
# PYTHON       the interpreter under .venv; default /usr/bin/python3, so that Debian's rospy is visible
# TORCH_INDEX  a package index to take torch from, for example PyTorch's own CPU wheels
#
# Killed half-way it leaves .venv/.unfinished behind, and the next run builds .venv anew.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$(pwd -P)
kind=${1:-run}
python=${PYTHON:-/usr/bin/python3}
venv=$here/.venv
log=$venv/setup.log
lists_of() {
    case $1 in
        run) echo requirements.txt ;;
        ros) echo requirements.txt requirements-ros.txt ;;
        dev) echo requirements.txt requirements-ros.txt requirements-dev.txt ;;
        *) echo "setup: unknown kind '$1'; there are: run, ros, dev" >&2; return 2 ;;
    esac
}
read -ra lists <<<"$(lists_of "$kind")"
[ ${#lists[@]} -gt 0 ] || exit 2
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
ros_path=${PYTHONPATH:-} # where a sourced ROS has its Python; it would lead pip astray
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

say() { printf 'setup: %s\n' "$@"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }
# shellcheck source=scripts/ros.sh
. scripts/ros.sh

# What a stamp says: which lists were installed, and into which folder. `dev` holds all of `ros`, and that all of `run`.
optional_of() { [ "$1" != dev ] || echo requirements-dmc.txt; }
stamp() { # shellcheck disable=SC2046
    { cat $(lists_of "$1") $(optional_of "$1") constraints.txt pyproject.toml setup.py scripts/setup.sh; echo "$here"; } | sha256sum
}
torch_is_right() { [ -z "${TORCH_INDEX:-}" ] || [ "$TORCH_INDEX" = "$(cat "$venv/.torch-index" 2>/dev/null)" ]; }
venv_is_ready() {
    [ -x "$venv/bin/python" ] && [ ! -e "$venv/.unfinished" ] && torch_is_right &&
        [ "$(cat "$venv/.ready-$kind" 2>/dev/null)" = "$(stamp "$kind")" ]
}
is_ready() { venv_is_ready && ros_is_ready; }
is_ready && exit 0

# One set-up at a time; a second one waits here and then finds everything done.
exec 9<requirements.txt
flock -n 9 || { say "another set-up of this checkout is running; waiting for it"; flock 9; }
is_ready && exit 0

has_gpu() { [ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1; }

check_python() {
    command -v "$python" >/dev/null ||
        fail "$python: no such interpreter." "Install Python 3.11, or name one: make demo PYTHON=/path/to/python3.11"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    case $version in
        3.10 | 3.11) ;;
        *) fail "$python is Python $version; handful needs 3.10 or 3.11, where PyBullet's wheels end." \
            "Name another interpreter: make demo PYTHON=/path/to/python3.11" ;;
    esac
}

# Debian packages, each with the thing that shows it is there (so other systems can satisfy it their way).
install_system_packages() {
    local missing=()
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    "$python" -c 'import ctypes; ctypes.CDLL("libGL.so.1")' 2>/dev/null || missing+=(libgl1)
    "$python" -c 'import ctypes; ctypes.CDLL("libgthread-2.0.so.0")' 2>/dev/null || missing+=(libglib2.0-0)
    # OpenCV needs the two above; the twin's EGL renderer, worth having with a GPU only, needs this one.
    ! has_gpu || "$python" -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null || missing+=(libegl1)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "missing system packages (Debian's names): ${missing[*]}." "Install them with your system's package manager, then run make again."
    may_install ||
        fail "missing system packages, and no right to install them. Run this as root (sudo or su), then make again:" \
            "    sh -c 'apt-get update && apt-get install -y --no-install-recommends ${missing[*]}'"
    apt_update
    apt_install "system packages" "${missing[@]}" ||
        fail "apt-get failed; all it said is in .setup-apt.log. By hand: apt-get install ${missing[*]}"
}

as_root=()
may_install() {
    [ "$(id -u)" != 0 ] || return 0
    sudo -n true 2>/dev/null && as_root=(sudo -n)
}
updated=
apt_update() {
    [ -n "$updated" ] || "${as_root[@]}" apt-get update >"$here/.setup-apt.log" 2>&1 || true # what fails, fails at the install
    updated=yes
}
apt_install() { # WHAT PACKAGES...
    local what=$1
    shift
    say "installing $what: $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$here/.setup-apt.log" 2>&1 ||
        { tail -n 5 "$here/.setup-apt.log" >&2; return 1; }
    rm -f "$here/.setup-apt.log"
}

build_venv() {
    if [ -e "$venv" ]; then
        # A checkout that was moved has a .venv whose scripts point to the old place.
        if [ ! -e "$venv/.unfinished" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
            head -n 1 "$venv/bin/pip" | grep -qF "$venv/bin/"; then
            return 0
        fi
        say ".venv is unfinished, broken or was moved; building it anew"
        rm -rf "$venv"
    fi
    say "creating .venv from $python ($("$python" --version 2>&1))"
    mkdir -p "$venv" && touch "$venv/.unfinished"
    "$python" -m venv --system-site-packages "$venv" ||
        fail "$python could not create .venv; on Debian: apt-get install python3-venv"
}

# pip_install WHAT ARGUMENTS...: shows download bars on a terminal and nothing elsewhere; the rest goes to the log.
pip_install() {
    local what=$1 pip=("$venv/bin/python" -m pip install)
    shift
    if [ -t 1 ]; then
        "${pip[@]}" --quiet "$@" 2>>"$log"
    else
        "${pip[@]}" --progress-bar off "$@" >>"$log" 2>&1
    fi || {
        rm -f "$venv/.unfinished" # pip ended by itself and left what it had installed whole
        grep -E '^ERROR' "$log" | tail -n 3 | cut -c 1-300 >&2
        fail "installing $what failed; everything pip said is in .venv/setup.log." \
            "No network, a full disk, or a version in ${lists[*]} that your package index lacks." \
            "Run make again when it is mended: it goes on from here."
    }
}

install_torch() {
    local torch
    torch=$(grep -E '^torch==' requirements.txt)
    if torch_is_right && "$venv/bin/python" -m pip show --quiet torch 2>/dev/null &&
        [ "$("$venv/bin/python" -c 'from importlib.metadata import version; print(version("torch").split("+")[0])')" = "${torch#torch==}" ]; then
        return 0
    fi
    say "installing $torch (the largest part)"
    if ! has_gpu && [ -z "${TORCH_INDEX:-}" ]; then
        say "no NVIDIA GPU here. Should gigabytes of CUDA packages come down, PyTorch's CPU build is smaller:"
        say "    stop, and run make again with TORCH_INDEX=<the CPU index on PyTorch's \"Get started\" page>"
    fi
    # Such an index has torch, but not always the versions of its dependencies that we hold still.
    local from=("${held[@]}")
    [ -z "${TORCH_INDEX:-}" ] || from=(--index-url "$TORCH_INDEX" --no-deps --force-reinstall)
    pip_install "$torch" "${from[@]}" "$torch"
    echo "${TORCH_INDEX:-}" >"$venv/.torch-index"
}

install_benchmark() { # optional for everybody, and so for the tests
    say "installing requirements-dmc.txt"
    "$venv/bin/python" -m pip install --progress-bar off "${held[@]}" -r requirements-dmc.txt >>"$log" 2>&1 ||
        say "note: it cannot be installed here (.venv/setup.log says why); the tests of handful bench dmc will be skipped"
    # Mesa, which draws its pictures without a GPU, comes with libgl1; the door to it does not.
    "$python" -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null ||
        { command -v apt-get >/dev/null && may_install && apt_update && apt_install "a renderer for it" libegl1; } ||
        say "note: no libegl1 here, as root: apt-get install libegl1; the test of its pictures will be skipped"
}

check_gpu() {
    has_gpu || return 0
    "$venv/bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
        say "warning: there is an NVIDIA GPU, but the installed torch cannot use it; training will run on the CPU."
        say "    A driver too old for torch, or a CPU build: make demo TORCH_INDEX=<the CUDA index on PyTorch's \"Get started\" page>"
    }
}

fill_venv() {
    build_venv
    touch "$venv/.unfinished"
    held=() # constraints.txt was taken on Python 3.11
    [ "$version" != 3.11 ] || held=(-c constraints.txt)
    install_torch # first, so that no other package picks a torch of its own
    say "installing ${lists[*]}"
    pip_install "${lists[*]}" "${held[@]}" "${lists[@]/#/-r}"
    pip_install "handful itself (pyproject.toml)" --no-deps --no-build-isolation --editable "$here"
    [ "$kind" != dev ] || install_benchmark
    "$venv/bin/python" -m pip check >>"$log" 2>&1 || say "note: pip check has remarks; see the end of .venv/setup.log"
    check_gpu
    rm -f "$venv/.unfinished"
    for each in run ros dev; do
        stamp "$each" >"$venv/.ready-$each"
        [ "$each" != "$kind" ] || break
    done
}

check_python
venv_is_ready || install_system_packages
with_ros=
[ "$kind" = run ] || { install_ros && with_ros=yes; } # before the long downloads: it may have to say no
venv_is_ready || fill_venv
rm -f "$venv/.without-ros"
if [ -n "$with_ros" ]; then
    messages_are_ready || build_messages || with_ros=
fi
[ "$kind" = run ] || [ -n "$with_ros" ] || touch "$venv/.without-ros"
say "ready (.venv)"
