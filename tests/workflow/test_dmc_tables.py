"""Ours beside what was published: rule, tables and pictures of ``handful bench dmc``."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dmc_kit import handful, plan, write

from handful.config import load
from handful.learn.settings import AgentSettings
from handful.workflow.dmc_plan import tasks_of
from handful.workflow.dmc_plots import plot_group, write_plots
from handful.workflow.dmc_published import (
    Published,
    as_grid,
    as_markdown,
    compare,
    published_lists,
    tolerance,
)
from handful.workflow.dmc_results import read_runs


class TestVerdicts:
    def test_the_rule_is_two_standard_errors_of_a_difference(self) -> None:
        assert tolerance(1.0, 10, 3) == pytest.approx(1.3166, abs=1e-4)
        assert tolerance(1.0, 10, 5) == pytest.approx(1.0954, abs=1e-4)
        assert tolerance(1.0, 10, 10) == pytest.approx(0.8944, abs=1e-4)
        assert tolerance(None, 10, 3) is tolerance(1.0, None, 3) is tolerance(1.0, 10, 0) is None

    @pytest.mark.parametrize(
        ("means", "sd", "verdict"),
        [
            ((), 50.0, "not run"),
            ((560.0, 580.0, 600.0), 50.0, "within"),
            ((500.0, 520.0, 540.0), 50.0, "within"),  # 62 below, 66 allowed
            ((500.0, 510.0, 520.0), 50.0, "below"),  # 72 below
            ((700.0,), 50.0, "above"),
            ((700.0,), None, "no deviation published"),
        ],
    )
    def test_a_cell(
        self, tmp_path: Path, means: tuple[float, ...], sd: float | None, verdict: str
    ) -> None:
        known = Published(
            name="P", method="curl", source="s", seeds=10, env_steps=800,
            tasks={"line_walk": (582.0, sd)},
        )  # fmt: skip
        for seed, mean in enumerate(means):
            write(tmp_path, plan(seed), 5.0, mean)
        write(tmp_path, plan(50), 900.0)  # has not come to the mark: it does not count
        write(tmp_path, plan(51, method="rad"), 5.0, 900.0)  # another method
        (cell,) = compare([known], read_runs(tmp_path))
        assert cell.verdict == verdict and cell.ours == means
        assert cell.to_dict()["verdict"] == verdict

    def test_a_variant_has_a_row_of_its_own(self, tmp_path: Path) -> None:
        write(tmp_path, plan(), 1.0, 500.0)
        write(tmp_path, plan(name="curl+batch_size=512"), 1.0, 600.0)
        known = Published(
            name="P", method="curl", source="s", seeds=10, env_steps=800,
            tasks={"line_walk": (582.0, 50.0), "line_run": (1.0, 2.0)},
        )  # fmt: skip
        cells = compare([known], read_runs(tmp_path))
        assert [(c.task, c.name, c.mean) for c in cells] == [
            ("line_walk", "curl", 500.0),
            ("line_walk", "curl+batch_size=512", 600.0),
            ("line_run", "curl", None),
        ]
        page = as_markdown(cells)
        assert "| P | line_run | 1 ± 2 (10) | curl | not run |  | not run |" in page
        assert "| P | mean over 2 tasks | 292 | curl | 1 of 2 run |  |  |" in page

    def test_the_shipped_lists_are_the_papers(self) -> None:
        lists = {known.name: known for known in published_lists()}
        curl, drq = lists["CURL 100k"].tasks, lists["DrQ 100k"].tasks
        assert sum(mean for mean, _ in curl.values()) / 6 == pytest.approx(560, abs=1)
        assert sum(mean for mean, _ in drq.values()) / 6 == pytest.approx(688, abs=1)
        assert all(
            known.seeds or known.method in ("rad", "lean_foresight") for known in lists.values()
        )
        for known in lists.values():
            for method in (known.method, *known.also):
                load(AgentSettings, f"agent/{method}")

    def test_several_profiles_may_stand_beside_a_list(self, tmp_path: Path) -> None:
        known = Published(
            name="P", method="ours", also=("older",), source="", seeds=3, env_steps=800,
            tasks={"line_walk": (250.0, 5.0)},
        )  # fmt: skip
        for method, mean in (("ours", 500.0), ("older", 400.0), ("curl", 300.0)):
            write(tmp_path, plan(1, method=method), mean, mean)
        cells = compare([known], read_runs(tmp_path))
        assert [(c.name, c.mean) for c in cells] == [("older", 400.0), ("ours", 500.0)]


def test_the_table_says_what_was_not_run(tmp_path: Path) -> None:
    result = handful("--table", "--results", str(tmp_path / "none"), "--json", "-")
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert {cell["verdict"] for cell in numbers["cells"]} == {"not run"}
    assert "| CURL 100k | cartpole_swingup | 582 ± 146 (10) | curl | not run |" in result.stderr


class TestPlots:
    def test_a_plot_shows_seeds_mean_and_papers(self, tmp_path: Path) -> None:
        for seed, mean in ((1, 100.0), (2, 300.0)):
            write(tmp_path, plan(seed), mean, mean + 100)
        known = Published(
            name="P <1>", method="curl", source="", seeds=3, env_steps=800,
            tasks={"line_walk": (250.0, 5.0)},
        )  # fmt: skip
        (path,) = write_plots(read_runs(tmp_path), [known])
        svg = ElementTree.fromstring(path.read_text())
        assert path == tmp_path / "line_walk/curl/curve.svg"
        said = " ".join(svg.itertext())
        write(tmp_path, plan(1, method="state"), 700.0, 800.0)
        files = write_plots(read_runs(tmp_path), [known])
        assert files[-1] == tmp_path / "line_walk/curve.svg" and len(files) == 3
        both = " ".join(ElementTree.fromstring(files[-1].read_text()).itertext())
        assert "curl: mean of 2 seeds" in both and "state: 1 seed" in both
        assert "mean of 2 seeds" in said and "P <1>: 250" in said and "seed 2" in said

    def test_eight_names_of_a_task_have_eight_colours_and_words_beside_the_lines(
        self, tmp_path: Path
    ) -> None:
        for index in range(8):
            write(tmp_path, plan(1, name=f"curl{index}"), 100.0, 200.0)
        svg = ElementTree.fromstring(write_plots(read_runs(tmp_path), [])[-1].read_text())
        words = [e for e in svg.iter() if e.get("class") == "name"][1:]
        assert len({e.get("style") for e in words}) == len(words) == 8
        lines = [e.get("d") or "" for e in svg.iter() if e.get("fill") == "none"]
        last = max(float(d.rpartition("L")[2].split()[0]) for d in lines)
        assert all(float(e.get("x") or 0) > last for e in words)

    def test_the_twelfth_name_has_a_colour_again_and_is_dashed(self, tmp_path: Path) -> None:
        for index in range(12):
            write(tmp_path, plan(1, name=f"curl{index:02}"), 100.0, 200.0)
        svg = ElementTree.fromstring(write_plots(read_runs(tmp_path), [])[-1].read_text())
        lines = [e for e in svg.iter() if e.get("fill") == "none"]
        looks = {(e.get("stroke"), e.get("stroke-dasharray")) for e in lines}
        assert len(looks) == 12 and sum(e.get("stroke-dasharray") is not None for e in lines) == 2
        assert " ".join(svg.itertext()).count("dashed") == 2


THREE = ("line_walk", "line_run", "line_hop")


def three(landmark: bool = False) -> Published:
    tasks = {task: (100.0 * i + 250.0, 5.0) for i, task in enumerate(THREE)}
    return Published(
        name="P", method="curl", source="s", seeds=3, env_steps=800, tasks=tasks, landmark=landmark
    )


class TestSeveralTasks:
    """The grid and the picture: who was measured on more than half of them is in it."""

    @pytest.fixture
    def runs(self, tmp_path: Path) -> list[Any]:
        for task in THREE:
            write(tmp_path, plan(1, task=task), 100.0, 200.0)
        write(tmp_path, plan(2), 300.0, 500.0)
        for task in THREE[:2]:
            write(tmp_path, plan(1, task=task, method="state"), 700.0, 800.0)
        write(tmp_path, plan(1, task="line_hop", method="state"), 700.0)  # not at the mark
        write(tmp_path, plan(1, method="rad"), 1.0, 2.0)  # one of three
        write(tmp_path, plan(1, task="elsewhere"), 1.0, 2.0)
        return read_runs(tmp_path)

    def test_a_grid_is_methods_by_tasks(self, runs: list[Any]) -> None:
        assert as_grid([three()], runs, THREE, 800).splitlines() == [
            "| 800 env steps | line walk | line run | line hop | mean |",
            "| --- | --- | --- | --- | --- |",
            "| P | 250 ± 5 (3) | 350 ± 5 (3) | 450 ± 5 (3) | 350 |",
            "| **curl** | 350 ± 212 (2) | 200 (1) | 200 (1) | 250 |",
            "| **state** | 800 (1) | 800 (1) |  |  |",
        ]
        assert as_grid([three()], runs, THREE, 1200) == ""
        assert as_grid([three()], [], THREE, 800) == ""

    def test_a_picture_has_a_chart_a_task_and_rings_for_landmarks(self, runs: list[Any]) -> None:
        picture = plot_group(THREE, runs, [three(landmark=True)])
        svg = ElementTree.fromstring(picture or "")
        charts = [e for e in svg if e.tag.endswith("svg")]
        assert [e.get("aria-label") for e in charts] == list(THREE)
        titles = [[t.text for t in chart.iter() if t.tag.endswith("title")] for chart in charts]
        assert titles[0] == ["curl", "state", "P: 250 at 800"]
        said = [e.text for e in svg if e.get("class") == "name"]
        assert said == [
            "— curl: 1 to 2 seeds on 3 tasks",
            "— state: 1 seed on 3 tasks",
            "o P: published mean",
        ]
        assert "P: 250" not in (plot_group(THREE, runs, [three()]) or "")
        assert plot_group(("line_stand", "line_hop"), runs[-1:], []) is None

    def test_the_shipped_group_is_drawn_beside_the_tasks(self, tmp_path: Path) -> None:
        for task in tasks_of("planet")[:4]:
            write(tmp_path, plan(1, task=task), 100.0, 200.0)
        files = write_plots(read_runs(tmp_path), published_lists(), tmp_path)
        assert files[-1] == tmp_path / "planet.svg" and files[-1].is_file() and len(files) == 5
        result = handful("--table", "--results", str(tmp_path))
        assert "env steps |" not in result.output  # 800 steps are no mark of theirs

    def test_what_lies_in_this_repository_begins_the_table(self) -> None:
        kept = Path(__file__).parents[2] / "benchmarks/results/dmc"
        page = handful("--table", "--results", str(kept)).output
        assert page.startswith("| 100,000 env steps | finger spin | cartpole swingup | reacher")
        assert "| **state** | 536 ± 18 (3) | 856 ± 5 (3) |" in page.partition("\n\n")[0]
