"""scripts/setup.sh against a fake Python that writes down what it is asked and installs nothing."""

import shutil
import time
from pathlib import Path

import pytest
from setup_kit import FAKE, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_torch_comes_first_and_a_second_run_does_nothing(checkout: Checkout) -> None:
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    first, second, third = checkout.take_notes()
    assert "torch==" in first and "-r" not in first.split()
    assert "-rrequirements.txt" in second and "-rrequirements-dev.txt" not in second
    assert f"--editable {checkout.folder}" in third and "--no-deps" in third
    began_s = time.monotonic()
    again = checkout.setup()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - began_s < 1.0
    assert checkout.take_notes() == []


def test_developing_includes_running_but_not_the_other_way_round(checkout: Checkout) -> None:
    checkout.setup("run")
    checkout.take_notes()
    checkout.setup("dev")
    notes = checkout.take_notes()
    assert any("-rrequirements-dev.txt" in line for line in notes)
    assert "-r requirements-dmc.txt" in notes[-1]
    checkout.setup("run")
    assert checkout.take_notes() == []


def test_developing_goes_on_without_the_known_tasks(checkout: Checkout) -> None:
    done = checkout.setup("dev", FAKE_BROKEN="requirements-dmc", FAKE_NO_ROSPY="1")
    assert done.returncode == 0, done.stderr
    assert "the tests of handful bench dmc will be skipped" in done.stdout
    assert checkout.setup("dev", FAKE_NO_ROSPY="1").stdout == ""


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt", "pyproject.toml"])
def test_a_changed_list_is_installed_into_the_same_folder(checkout: Checkout, name: str) -> None:
    checkout.setup()
    checkout.take_notes()
    (checkout.folder / ".venv/mine").touch()
    (checkout.folder / name).write_text((checkout.folder / name).read_text() + "\n# changed\n")
    assert checkout.setup().returncode == 0
    assert checkout.take_notes()
    assert (checkout.folder / ".venv/mine").exists()


def test_killed_half_way_it_builds_anew(checkout: Checkout) -> None:
    assert checkout.setup(FAKE_KILL="1").returncode == -9
    (checkout.folder / ".venv/half").touch()
    done = checkout.setup()
    assert done.returncode == 0 and "building it anew" in done.stdout
    assert not (checkout.folder / ".venv/half").exists()
    assert checkout.setup().stdout == ""


def test_killed_while_adding_to_a_ready_one_it_is_ready_no_longer(checkout: Checkout) -> None:
    checkout.setup("run")
    assert checkout.setup("dev", FAKE_KILL="1").returncode == -9
    done = checkout.setup("run")
    assert done.returncode == 0 and "building it anew" in done.stdout


def test_a_failed_install_names_the_log_and_goes_on_later(checkout: Checkout) -> None:
    done = checkout.setup(FAKE_BROKEN="install")
    assert done.returncode == 1
    for words in ["disk is full", ".venv/setup.log", "requirements.txt", "Run make again"]:
        assert words in done.stderr
    (checkout.folder / ".venv/kept").touch()
    assert checkout.setup().returncode == 0
    assert (checkout.folder / ".venv/kept").exists()


def test_a_moved_checkout_is_built_anew(checkout: Checkout) -> None:
    checkout.setup()
    moved = checkout.folder.with_name("elsewhere")
    checkout.folder.rename(moved)
    checkout.folder = moved
    done = checkout.setup()
    assert done.returncode == 0 and "was moved" in done.stdout
    assert (moved / ".venv/bin/pip").read_text().startswith(f"#!{moved}/.venv/")


def test_a_python_that_pybullet_has_no_wheels_for_is_refused(checkout: Checkout) -> None:
    done = checkout.setup(FAKE_VERSION="3.12")
    assert done.returncode == 1 and "3.12" in done.stderr and "PYTHON=" in done.stderr
    assert checkout.setup(PYTHON="/nowhere/python3").returncode == 1
    assert not (checkout.folder / ".venv").exists()


def test_without_rights_it_says_which_command_to_run_as_root(checkout: Checkout) -> None:
    checkout.command("id", "echo 1000")
    checkout.command("sudo", "exit 1")
    checkout.command("apt-get", "exit 0")
    done = checkout.setup(FAKE_NO_LIBGL="1")
    assert done.returncode == 1
    assert "apt-get install -y --no-install-recommends libgl1'" in done.stderr
    assert not (checkout.folder / ".venv").exists()


def test_with_sudo_it_installs_what_is_missing(checkout: Checkout) -> None:
    checkout.command("id", "echo 1000")
    checkout.command("sudo", f'shift; echo "$@" >>{checkout.folder}/asked; exec "$@"')
    checkout.command("apt-get", f'echo "$@" >>{checkout.apt}')
    done = checkout.setup(FAKE_NO_LIBGL="1")
    assert done.returncode == 0, done.stderr
    assert "libgl1" in checkout.apt.read_text()
    assert "apt-get" in (checkout.folder / "asked").read_text()


def test_developing_brings_a_renderer_or_goes_on_without(checkout: Checkout) -> None:
    checkout.command("id", "echo 1000")
    checkout.command("sudo", "exit 1")
    checkout.command("apt-get", f'echo "$@" >>{checkout.apt}')
    done = checkout.setup("dev", FAKE_NO_LIBEGL="1")
    assert done.returncode == 0 and "as root: apt-get install libegl1" in done.stdout
    assert not checkout.apt.exists()
    checkout.command("id", "echo 0")
    shutil.rmtree(checkout.folder / ".venv")
    done = checkout.setup("dev", FAKE_NO_LIBEGL="1")
    assert done.returncode == 0 and "no libegl1" not in done.stdout
    assert "--no-install-recommends libegl1" in checkout.apt.read_text()


def test_an_index_for_torch_is_used_for_torch_alone_and_remembered(checkout: Checkout) -> None:
    checkout.setup()
    checkout.take_notes()
    checkout.setup(TORCH_INDEX="file:///wheels")
    asked = checkout.take_notes()
    assert "--index-url file:///wheels --no-deps" in asked[0] and "torch==" in asked[0]
    assert not any("--index-url" in line for line in asked[1:])
    checkout.setup(TORCH_INDEX="file:///wheels")
    checkout.setup()
    assert checkout.take_notes() == []


def test_a_gpu_that_torch_cannot_use_is_said(checkout: Checkout) -> None:
    checkout.command("nvidia-smi", "echo GPU 0")
    with_cuda = checkout.setup()
    assert with_cuda.returncode == 0 and "warning" not in with_cuda.stdout
    checkout.fake.write_text(FAKE.replace("esac", "    *cuda*) exit 1 ;;\nesac"))
    shutil.rmtree(checkout.folder / ".venv")
    without = checkout.setup()
    assert without.returncode == 0 and "training will run on the CPU" in without.stdout
