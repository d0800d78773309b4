"""The house keeps its own rules: versions, docs, manifests and files that must agree."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import handful

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = sorted([*ROOT.glob("src/handful/**/*.py"), *ROOT.glob("sim/handful_twin/**/*.py")])
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *(ROOT / name / "README.md" for name in ("benchmarks", "launch", "nodes")),
    ]
)
LONGEST = 330


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_one_version() -> None:
    manifest = re.search(r"<version>(.+?)</version>", text("package.xml"))
    newest = re.search(r"^(\d+\.\d+\.\d+) ", text("CHANGELOG.rst"), re.MULTILINE)
    assert manifest and newest
    versions = {manifest[1], newest[1], PYPROJECT["project"]["version"], handful.__version__}
    assert len(versions) == 1, versions


def test_catkin_and_pip_know_every_package() -> None:
    there = {
        ".".join(init.parent.relative_to(ROOT / base).parts)
        for base in ("src", "sim")
        for init in (ROOT / base).glob("handful*/**/__init__.py")
    }
    listed = ast.literal_eval(re.search(r"packages=(\[.*?\])", text("setup.py"), re.DOTALL)[1])  # type: ignore[index]
    assert set(listed) == there
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == there | {"handful_config"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_says_what_it_is_and_is_one_sitting(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(source)) or ""
    assert len(said.splitlines()[0].split()) >= 4 if said else False, "no sentence at the top"
    assert len(source.splitlines()) <= LONGEST, f"longer than {LONGEST} lines"


def test_the_map_shows_every_file_and_no_other() -> None:
    said = set(re.findall(r"^ {4}([a-z_.]+) {2,}\S", handful.__doc__ or "", re.MULTILINE))
    there = {
        ".".join(path.relative_to(ROOT / "src/handful").with_suffix("").parts)
        for path in MODULES
        if path.is_relative_to(ROOT / "src") and path.name != "__init__.py"
    }
    assert said == there, f"missing: {sorted(there - said)}, gone: {sorted(said - there)}"


def test_pixels_become_floats_in_one_line() -> None:
    hits = [
        f"{name_of(path)}: {ast.unparse(node)}"
        for path in sorted((ROOT / "src/handful").glob("**/*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp | ast.AugAssign)
        and isinstance(node.op, ast.Div)
        and "255" in ast.unparse(node.right if isinstance(node, ast.BinOp) else node.value)
    ]
    assert len(hits) == 1 and hits[0].startswith("src/handful/learn/encoder.py"), hits


def names(lines: list[str]) -> set[str]:
    """The package names of requirement lines."""
    return {re.split(r"[<>=; ]", line)[0] for line in lines}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    needed = names(project["dependencies"] + extras["sim"] + extras["data"])
    providers = metadata.packages_distributions()
    ours = {"handful", "handful_twin", "handful_config"}
    debian = {"rospy", "genpy", "rosgraph", "rosbag", "roslaunch", "rospkg", "actionlib", "tf2_ros"}
    used: dict[str, str] = {"tensorboard": "torch.utils.tensorboard"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in {name.partition(".")[0] for name in modules} - ours:
                is_ros = module in debian or module.endswith(("_msgs", "_srvs"))
                if not is_ros and module not in sys.stdlib_module_names:
                    packages = providers.get(module, [module])
                    used[packages[0].lower().replace("_", "-")] = f"{name_of(path)}: {module}"
    extras = project["optional-dependencies"]
    brought = {"triton"}  # by torch's CUDA builds
    optional = names(extras["realsense"] + extras["dmc"]) | brought
    assert needed - set(used) == set(), "declared, but never imported"
    assert set(used) - needed - optional == set(), "imported, but not declared"


def test_every_dependency_is_pinned_and_explained() -> None:
    pinned = text("requirements.txt") + text("requirements-dev.txt")
    page = text("docs/dependencies.md")
    groups = PYPROJECT["project"]["optional-dependencies"]
    extras = [*groups["sim"], *groups["data"], *groups["dev"]]
    for package in names([*PYPROJECT["project"]["dependencies"], *extras]):
        assert re.search(rf"^{package}==\d", pinned, re.MULTILINE), f"{package} is not pinned"
        assert package in page, f"{package} is not in docs/dependencies.md"


def code_in(page: Path) -> list[str]:
    """Lines of fenced blocks, and inline code."""
    found = re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line.strip() for block, inline in found for line in (block or inline).splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_on_a_page_exist(page: Path) -> None:
    from handful.cli import cli

    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for line in code_in(page):
        for target in re.findall(r"(?:^|&& )make ([a-z][a-z-]+)", line):
            assert target in targets, f"make {target}"
        for command in re.findall(r"^(?:\.venv/bin/)?handful ([a-z]+)", line):
            assert command in cli.commands, f"handful {command}"


@pytest.mark.parametrize("profile", ["curl", "lean", "frozen", "ferm", "serl"])
def test_every_curve_has_an_entry_in_the_dictionary(profile: str) -> None:
    from handful.config import load
    from handful.contract import Observation, Spec, Transition
    from handful.learn.learner import Learner
    from handful.learn.settings import AgentSettings

    small = {"batch_size": 4, "replay.capacity": 50, "pretrain.updates": 1, "start_steps": 0}
    small |= {
        "pretrain.batch_size": 4,
        "clone.updates": 1,
        "clone.batch_size": 4,
        "update_to_data": 2,
    }
    small |= {"encoder.filters": 4, "actor.hidden_dim": 8, "critic.hidden_dim": 8}
    settings = load(AgentSettings, f"agent/{profile}", small)
    side, stack = settings.image_px, settings.frame_stack
    spec = Spec(("third",), side, side, stack, 2, 4)
    rng = np.random.default_rng(0)

    def observation() -> Observation:
        picture = rng.integers(0, 256, (side, side, 3 * stack), np.uint8)
        return Observation({"third": picture}, np.zeros(2, np.float32), 0.0)

    learner = Learner(settings, spec, seed=0, device="cpu")
    returned: set[str] = set()
    for demo in (True, False):
        learner.begin(observation())
        for step in range(6):
            action = rng.uniform(-1, 1, 4).astype(np.float32)
            last = step == 5
            learner.add(Transition(action, float(last), 1.0 - last, observation(), last, demo))
            returned |= set(learner.update())
        if demo:
            returned |= set(learner.pretrain())
    explained = set(re.findall(r"`([a-z_0-9]+)`", text("docs/metrics.md")))
    assert "q_loss" in returned
    assert returned <= explained, f"not in docs/metrics.md: {sorted(returned - explained)}"


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{name_of(page)}: {link}"
