"""The twin's benchmark: its keys, its arithmetic, and its manners when there is no peer."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(FOLDER))
    loaded = []
    for name in ("peers", "bench_twin"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        loaded.append(module)
    yield loaded
    sys.path.remove(str(FOLDER))
    for name in ("peers", "bench_twin"):
        del sys.modules[name]


@pytest.fixture
def here(modules, tmp_path, monkeypatch):
    """Peers in a folder of the test's own, whose interpreter is ours and needs no packages."""
    peers, _ = modules
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(peers, "install", lambda name, packages: sys.executable)
    return tmp_path


def script(folder: Path, body: str) -> Path:
    path = folder / "peer.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\n{body}")
    return path


def test_the_contract_keys_are_there_and_the_ratio_is_ours_over_theirs(
    modules, here, monkeypatch
) -> None:
    _, bench = modules
    body = (
        "from peers import answer\n"
        "def handle(**question):\n"
        "    print('a banner on standard output', flush=True)\n"
        "    return dict(steps=5, wall_s=0.5, cpu_s=0.25, about='ten a second')\n"
        "answer(handle)\n"
    )
    path = script(here, body)
    kind = bench.Peer
    monkeypatch.setattr(bench, "Peer", lambda name, packages, _: kind(name, packages, path))
    said = []
    numbers = bench.run_twin_bench(0.1, said.append)
    json.dumps(numbers)
    assert numbers["panda_gym_env_steps_per_s"] == pytest.approx(10.0)
    assert numbers["panda_gym_env_steps_per_s_cpu"] == pytest.approx(20.0)
    assert numbers["ratio_panda_gym"] == pytest.approx(numbers["env_steps_per_s"] / 10.0)
    assert numbers["panda_gym"] == "ten a second"
    rates = [value for key, value in numbers.items() if "per_s" in key and "seconds" not in key]
    assert len(rates) >= 18 and all(rate > 0.0 for rate in rates)
    assert len(said) == 2 + bench.ROUNDS


def test_without_the_peer_our_own_numbers_remain(modules, monkeypatch) -> None:
    peers, bench = modules

    def offline(name, packages):
        raise peers.PeerError("panda_gym: pip could not install; run this once online")

    monkeypatch.setattr(peers, "install", offline)
    monkeypatch.setattr(bench, "_cases", lambda stack: {
        "env_steps_per_s": lambda: None, "frames_per_s": lambda: None,
    })  # fmt: skip
    numbers = bench.run_twin_bench(0.01, lambda line: None)
    assert numbers["ratio_panda_gym"] is None
    assert "once online" in numbers["panda_gym"]
    assert numbers["env_steps_per_s"] > 0.0


def test_a_peer_that_dies_is_named(modules, here) -> None:
    peers, _ = modules
    with (
        peers.Peer("sick", ("x==1",), script(here, "sys.exit(3)")) as peer,
        pytest.raises(peers.PeerError, match="sick stopped with exit status 3"),
    ):
        peer.ask(seconds=1.0)


def test_packages_that_cannot_be_had_are_named(modules, tmp_path, monkeypatch) -> None:
    peers, _ = modules
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(peers.venv, "create", lambda *args, **kwargs: None)

    class Failed:
        returncode, stderr = 1, "WARNING: slow\nERROR: No matching distribution found\n"

    monkeypatch.setattr(peers.subprocess, "run", lambda *args, **kwargs: Failed)
    with pytest.raises(peers.PeerError, match=r"nowhere==9.*once online.*No matching"):
        peers.install("nowhere", ("nowhere==9",))
    assert not (tmp_path / "nowhere" / "installed.json").exists()
