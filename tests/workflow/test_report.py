"""The page: whole, self-contained, true to the numbers; and the comparison of several runs."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workflow_kit import LineParts, recipe

from handful.workflow import charts, film, probe
from handful.workflow.charts import Series
from handful.workflow.collect import collect
from handful.workflow.console import Console
from handful.workflow.curves import Curve
from handful.workflow.errors import RunError
from handful.workflow.evaluate import evaluate
from handful.workflow.report import kinds, mean_curve, read_run, write_report
from handful.workflow.report_compare import reached
from handful.workflow.results import read_json, write_json
from handful.workflow.run_folder import RunFolder
from handful.workflow.train import train

CONSOLE = Console(quiet=True)
VOID = {"meta", "img", "br", "link", "input", "hr"}
SHAPES = {"circle", "rect", "line", "path"}


class Page(HTMLParser):
    """Checks that tags close in order, and collects what a browser would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        values = dict(attrs)
        self.fetched += [values[key] for key in ("src", "href", "data", "poster") if key in values]
        assert tag not in {"script", "link", "iframe", "object"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def made(folder: Path, *sets: str, seed: int = 0, wins: int = 8) -> RunFolder:
    """A run of the line world, with an evaluation, two films and a probe."""
    run = RunFolder(folder)
    parts = LineParts(recipe(*sets, seed=seed), wins)
    run.write_config(parts.recipe)
    collect(parts, run, 3, CONSOLE)
    train(parts, run, CONSOLE)
    result = evaluate(run.path, 20, 0, CONSOLE, films=False, opener=parts.open)
    frames = [np.full((32, 48, 3), shade, np.uint8) for shade in (0, 128, 255)]
    films = []
    for label, won in (("best", True), ("failed", False)):
        episode = result["outcomes"].index(won)
        name = f"{label}_{result['seeds'][episode]}.webp"
        film.save(frames, run.videos / name, 10.0)
        length = result["lengths"][episode]
        films.append({"file": name, "label": label, "seed": result["seeds"][episode]})
        films[-1]["length"] = length
    write_json(run.result, {**result, "films": films})
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 2)).astype(np.float32)
    np.savez(
        run.probe,
        pictures=rng.integers(0, 255, (60, 8, 16, 3), np.uint8),
        latents=values @ rng.normal(size=(2, 5)).astype(np.float32),
        episodes=np.repeat(np.arange(6), 10),
        labels=np.array(["cube ahead of tip [cm]", "cube left of tip [cm]"]),
        values=values,
    )
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return made(tmp_path_factory.mktemp("runs") / "line", "train.check_every_steps=20")


class TestOneRun:
    def test_it_needs_nothing_from_outside(self, run: RunFolder) -> None:
        page = Page(write_report([run], run.report))
        assert page.fetched
        assert all(address.startswith("data:image/") for address in page.fetched)
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", page.text)

    def test_it_says_what_was_measured(self, run: RunFolder) -> None:
        page = Page(write_report([run], run.report))
        result = read_json(run.result)
        assert result is not None
        assert f"Reach: {result['successes']} of 20 unseen episodes succeed" in page.text
        assert (
            f"{100 * result['success_low']:.1f} to {100 * result['success_high']:.1f} %"
            in page.text
        )
        assert ">40<" in page.text  # env steps
        assert ">80<" in page.text  # updates
        assert result["commit"] in page.text
        assert result["machine"]["processor"] in page.text
        assert result["versions"]["numpy"] in page.text
        assert "checkpoint_every_steps: 10" in page.text  # every setting, also the odd one
        assert "Critic loss" in page.text
        assert "Pre-training on demonstration frames" in page.text

    def test_films_neighbours_and_maps_are_in_it(self, run: RunFolder) -> None:
        page = Page(write_report([run], run.report))
        assert page.text.count("data:image/webp") == 2
        assert page.text.count("data:image/png") == 4 * (1 + 5)
        assert page.text.count('<span class="tag bad">failed') == 1
        assert "R&sup2;" in page.text

    def test_a_run_without_evaluation_or_curve_is_still_a_page(
        self, run: RunFolder, tmp_path: Path
    ) -> None:
        only_curve = RunFolder(tmp_path / "a")
        only_curve.path.mkdir()
        only_curve.config.write_bytes(run.config.read_bytes())
        only_curve.curve.write_bytes(run.curve.read_bytes())
        assert "not evaluated yet" in Page(write_report([only_curve], tmp_path / "a.html")).text
        only_result = RunFolder(tmp_path / "b")
        only_result.path.mkdir()
        only_result.result.write_bytes(run.result.read_bytes())
        assert "unseen episodes" in Page(write_report([only_result], tmp_path / "b.html")).text

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="nothing to report"):
            write_report([RunFolder(tmp_path)], tmp_path / "report.html")

    def test_names_cannot_break_the_page(self, run: RunFolder, tmp_path: Path) -> None:
        odd = RunFolder(tmp_path / "<odd>&amp;")
        odd.path.mkdir()
        odd.curve.write_bytes(run.curve.read_bytes())
        assert "<odd>" not in Page(write_report([odd], tmp_path / "odd.html")).text


class TestSeveralRuns:
    def test_seeds_are_one_kind_and_settings_another(self, run: RunFolder, tmp_path: Path) -> None:
        runs = [
            made(tmp_path / "a0"),
            made(tmp_path / "a1", seed=1),
            made(tmp_path / "b0", "agent.batch_size=99"),
        ]
        groups = kinds([read_run(r) for r in runs])
        assert [len(group.runs) for group in groups] == [2, 1]
        assert "batch_size 99" in groups[1].name
        page = Page(write_report(runs, tmp_path / "comparison.html"))
        assert page.fetched == []
        assert "batch_size 99" in page.text
        assert "median of 2" in page.text
        assert "3 runs, 2 kinds" in page.text
        assert "Success, checked" not in page.text

    def test_checks_are_drawn_when_every_run_has_them(self, tmp_path: Path) -> None:
        runs = [made(tmp_path / f"c{s}", "train.check_every_steps=20", seed=s) for s in (0, 1)]
        page = Page(write_report(runs, tmp_path / "comparison.html"))
        assert "Success, checked" in page.text
        assert "success of checks" in page.text

    def test_reaching_needs_a_full_window(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        with Curve(folder.curve) as curve:
            for i in range(1, 31):
                at = {"env_steps": 10 * i, "updates": 0, "wall_s": float(i)}
                curve.add("episode", rolling_success=1.0 if i != 20 else 0.5, **at)  # type: ignore[arg-type]
        data = read_run(folder)
        assert reached(data, "env_steps") == 210.0
        assert reached(data, "wall_s") == 21.0
        assert reached(data, "env_steps", threshold=1.1) is None
        assert reached(data, "env_steps", checks=True) is None
        with Curve(folder.curve) as curve:
            for steps, rate in ((100, 0.8), (200, 0.95)):
                at = {"env_steps": steps, "updates": 0, "wall_s": 1.0}
                curve.add("check", success_rate=rate, **at)  # type: ignore[arg-type]
        assert reached(read_run(folder), "env_steps", checks=True) == 200.0

    def test_the_mean_goes_as_far_as_all_do(self) -> None:
        mean = mean_curve([[(0.0, 0.0), (10.0, 1.0)], [(4.0, 0.4), (20.0, 2.0)], []], 11)
        assert mean[0] == pytest.approx((4.0, 0.4))
        assert mean[-1] == pytest.approx((10.0, 1.0))
        assert mean_curve([]) == []


class TestCharts:
    def test_lines_stay_inside_and_gaps_break_them(self) -> None:
        points = [(0.0, 0.0), (1.0, 0.5), (2.0, None), (3.0, float("nan")), (4.0, 2.0), (5.0, 1.0)]
        svg = charts.line_chart(
            [Series("success", points)], x_label="steps", y_label="y", y_range=(0.0, 1.0)
        )
        (path,) = re.findall(r'<path d="(M[^"]+)"', svg)
        assert path.count("M") == 2
        ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
        assert len(ys) == 4
        assert min(ys) == pytest.approx(12.0)  # a value above the range is drawn at its edge
        assert max(ys) == pytest.approx(222.0)

    def test_nothing_recorded_is_said(self) -> None:
        assert "nothing recorded" in charts.line_chart([], x_label="x", y_label="y")
        empty = [Series("a", [(0.0, None)])]
        assert "nothing recorded" in charts.line_chart(empty, x_label="x", y_label="y")

    def test_a_single_point_and_a_flat_line(self) -> None:
        for points in ([(0.0, 3.0)], [(0.0, 0.0), (5.0, 0.0)]):
            svg = charts.line_chart([Series("a", points)], x_label="x", y_label="y")
            assert "nan" not in svg.lower()

    @pytest.mark.parametrize(
        ("low", "high", "want"),
        [(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.0, 5230.0, [0, 2000, 4000]), (3, 3, [3])],
    )
    def test_ticks_are_round(self, low: float, high: float, want: list[float]) -> None:
        assert charts.ticks(low, high) == want

    def test_thinning_keeps_both_ends(self) -> None:
        points = [(float(i), float(i)) for i in range(5000)]
        thinned = charts.thin(points)
        assert (len(thinned), thinned[0], thinned[-1]) == (600, points[0], points[-1])

    def test_every_episode_has_its_mark(self) -> None:
        svg = charts.dot_chart([3, 9, 4], [True, False, True], x_label="e", y_label="s", y_max=9)
        assert svg.count("<circle") == 2
        assert svg.count("failed</title>") == 1


class TestFilms:
    def test_a_film_is_a_moving_picture_at_the_given_rate(self, tmp_path: Path) -> None:
        from PIL import Image

        frames = [np.full((20, 30, 3), shade, np.uint8) for shade in (0, 80, 160, 255)]
        for ending in (".webp", ".gif"):
            path = film.save(frames, tmp_path / f"film{ending}", rate_hz=10.0)
            with Image.open(path) as picture:
                assert picture.n_frames == 4
                assert picture.size == (30, 20)
                picture.seek(1)
                picture.load()
                assert picture.info["duration"] == 100
        assert film.save(frames, tmp_path / "film.mp4", 10.0).stat().st_size > 100

    def test_endings_and_emptiness(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="at least one frame"):
            film.save([], tmp_path / "film.webp", 10.0)
        with pytest.raises(RunError, match="films end in"):
            film.save([np.zeros((4, 4, 3), np.uint8)], tmp_path / "film.avi", 10.0)

    def test_views_stand_beside_the_wide_picture(self) -> None:
        wide = np.zeros((100, 100, 3), np.uint8)
        views = [np.full((8, 8, 3), 10, np.uint8), np.full((8, 8, 3), 20, np.uint8)]
        frame = film.compose(wide, views)
        assert frame.shape == (100, 152, 3)
        assert frame[20, 120, 0] == 10
        assert frame[80, 120, 0] == 20


class TestProbe:
    def test_neighbours_are_of_other_episodes_and_nearest_first(self) -> None:
        angles = np.array([0.0, 0.01, 0.2, 0.1, 3.0])
        latents = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        episodes = np.array([0, 0, 1, 2, 3])
        assert probe.neighbours(latents, episodes, 0, 3) == [3, 2, 4]

    def test_a_straight_line_is_read_out_and_noise_is_not(self) -> None:
        rng = np.random.default_rng(1)
        latents = rng.normal(size=(400, 6)).astype(np.float32)
        told = latents @ rng.normal(size=6) * 3.0
        values = np.stack([told, rng.normal(size=400)], 1).astype(np.float32)
        (r2, error), (none, _) = probe.read_out(latents, values, np.repeat(np.arange(20), 20))
        assert r2 > 0.99
        assert error < 0.2
        assert none < 0.1

    def test_the_plane_of_largest_variance(self) -> None:
        rng = np.random.default_rng(2)
        latents = rng.normal(size=(200, 5)) * np.array([10.0, 5.0, 0.1, 0.1, 0.1])
        plane, share = probe.principal_plane(latents.astype(np.float32))
        assert share > 0.99
        assert plane.std(0) == pytest.approx(latents.std(0)[:2], rel=0.1)

    def test_spread_out_frames_are_of_different_episodes(self) -> None:
        rng = np.random.default_rng(3)
        latents = rng.normal(size=(50, 4)).astype(np.float32)
        episodes = np.repeat(np.arange(5), 10)
        chosen = probe.spread_out(latents, episodes, 4)
        assert len(set(episodes[chosen])) == 4
        assert len(probe.spread_out(latents, episodes, 9)) == 5
