"""Where time goes, and how far the roof is: counted and grouped right, on a GPU or refused."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench_device
    import bench_profile
    import counting

    return SimpleNamespace(counting=counting, profile=bench_profile, device=bench_device)


def test_operations_are_counted_forward_and_backward(modules):
    layer = torch.nn.Linear(10, 20)
    seen = torch.randn(5, 10)
    found = modules.counting.count(lambda: layer(seen).sum().backward(), updates=2)
    assert found["gflop"] * 1e9 == 2 * (2 * 5 * 10 * 20)  # forward, and the weight's gradient
    read_and_written = 4 * (5 * 10 + 10 * 20 + 20 + 5 * 20)  # of the forward product alone
    assert found["megabytes"] * 1e6 > read_and_written
    assert 3 <= found["operators"] < 12


def test_a_convolution_counts_the_same_as_one_kernel_with_its_relu(modules):
    from handful.learn import fused

    if not fused.fits(torch.zeros(1)):
        pytest.skip("this build of torch has no oneDNN")
    weight, bias = torch.randn(32, 9, 3, 3, requires_grad=True), torch.zeros(32)
    seen = torch.randn(2, 9, 16, 16).to(memory_format=torch.channels_last)
    found = modules.counting.count(
        lambda: fused.convolve_relu(seen, weight, bias, 2).sum().backward(), updates=1
    )
    forward = 2 * 2 * 7 * 7 * 32 * 9 * 9
    assert round(found["gflop"] * 1e9) == 2 * forward  # and the weight's gradient


def test_who_picks_rows_reads_no_more_than_those(modules):
    table, rows = torch.zeros(1000, 100), torch.tensor([3, 5])
    found = modules.counting.count(lambda: (table[rows], table.index_select(0, rows)), updates=1)
    assert found["megabytes"] * 1e6 == 2 * (2 * (2 * 100 * 4) + 2 * 8)


def test_the_lower_roof_binds(modules):
    assert modules.counting.roofline_s(100.0, 10.0, 50.0, 20.0) == (2.0, "compute")
    assert modules.counting.roofline_s(1.0, 40_000.0, 50.0, 20.0) == (2.0, "memory")


@pytest.mark.parametrize(
    ("names", "group"),
    [
        (["aten::bmm", "_ConvolveReluBackward", "update"], "convolution, backward"),
        (["aten::mkldnn_convolution", "aten::conv2d", "update"], "convolution, forward"),
        (["aten::addmm", "aten::linear", "update"], "matrix products"),
        (["aten::_fused_adam_", "Optimizer.step#Adam.step", "update"], "optimiser"),
        (["aten::lerp_", "aten::_foreach_lerp_", "update"], "targets"),
        (["aten::copy_", "aten::to", "sample"], "sampling"),
        (["aten::copy_", "aten::to", "update"], "copies and casts"),
        (["aten::tanh", "update"], "norms and elementwise"),
        (["update"], "Python and autograd"),
        (["autograd::engine::evaluate_function: MulBackward0"], "Python and autograd"),
    ],
)
def test_every_operator_has_its_group(modules, names, group):
    assert modules.profile.group_of(names) == group
    assert group in modules.profile.GROUPS


def test_a_short_run_says_everything(modules):
    threads = torch.get_num_threads()
    said: list[str] = []
    try:
        numbers = modules.profile.run_profile_bench(("state",), 1, 0.02, said.append)
    finally:
        torch.set_num_threads(threads)
    case = numbers["cases"]["state"]
    assert sum(case["shares"].values()) == pytest.approx(1.0)
    assert case["shares"]["convolution, forward"] == 0.0 < case["shares"]["matrix products"]
    assert 0.5 < case["gflop"] < 0.65  # two Q of 256 x 256 at batch 256, an actor, their targets
    assert 0.0 < case["roofline_share"] < 1.5
    assert case["act_cpu_ms"] > 0.0 and said[-1] == "turn 1 of 1 done"
    page = modules.profile.tables(numbers)
    assert "| `state` | 256 | 0.56" in page and page.count("| matrix products |") == 1


def test_an_unknown_profile_is_refused(modules):
    from click.testing import CliRunner

    result = CliRunner().invoke(modules.profile.main, ["--profiles", "curl,slow"])
    assert result.exit_code == 2 and "--profiles slow: expected some of curl, rad" in result.output


class _Canned:
    """A case on a card that is fast at once."""

    per_turn = {"curl": 2000, "reference": 100, "curl_512": 600, "rad": 3000}

    def __init__(self, case: str) -> None:
        self.case, self.closed = case, False
        self.facts = {"gflop": 10.0, "megabytes": 1000.0}

    def start(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> dict[str, Any]:
        if self.case == "ceilings":
            top = {"matmul_gflop_s": 50_000.0, "copy_gb_s": 4000.0}
            return {"gpu": "A Card", "fp32": top, "tf32": {**top, "matmul_gflop_s": 4e5}} | {
                "bf16": {**top, "matmul_gflop_s": 8e5}
            }
        return {"count": self.per_turn.get(self.case, 50), "seconds": 1.0}

    def close(self) -> None:
        self.closed = True


def test_numbers_of_a_gpu(modules, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    made: list[_Canned] = []

    def worker(case: str) -> _Canned:
        made.append(_Canned(case))
        return made[-1]

    numbers = modules.device.run_device_bench(worker, 4.0, 2, lambda line: None)
    assert "released_updates_per_s" not in numbers and "ratio_released" not in numbers
    assert numbers["gpu"] == "A Card" and numbers["ratio_reference"] == 20.0
    assert numbers["ratio_reference_512"] == 12.0 and numbers["ratio_rad_reference"] == 60.0
    # 1 GB at 4 TB/s is 0.25 ms, ten billion operations at 400 TFLOP/s are 0.025.
    assert numbers["curl_roofline_share"] == pytest.approx(0.5)
    assert numbers["curl_bound_by"] == "memory"
    assert numbers["curl_fp32_roofline_share"] == pytest.approx(50 * 0.25e-3)
    assert all(one.closed for one in made)
    from learner_cases import CASES

    assert {one.case for one in made} <= set(CASES)


def test_a_case_that_cannot_begin_is_left_out(modules, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    said: list[str] = []

    def worker(case: str) -> _Canned:
        if case == "curl_512":
            raise RuntimeError("case curl_512: its process ended with 1")
        return _Canned(case)

    numbers = modules.device.run_device_bench(worker, 4.0, 2, said.append, released=True)
    assert "left out: case curl_512: its process ended with 1" in said
    assert "curl_512_updates_per_s" not in numbers and "ratio_released_512" not in numbers
    assert numbers["ratio_released"] == 40.0 and numbers["ratio_released_512_bf16"] == 1.0


def test_a_folder_without_the_released_code_is_refused(modules, tmp_path):
    from released_curl import refuse_without

    with pytest.raises(FileNotFoundError, match="no curl_sac.py there; expected a checkout of"):
        refuse_without(tmp_path)


def test_without_a_gpu_it_is_one_sentence():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    script = [sys.executable, str(FOLDER / "bench_learner.py"), "--device", "cuda"]
    result = subprocess.run(script, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.startswith("--device cuda: torch")
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_numbers_in_the_docs_are_a_run_of_it(modules):
    kept = json.loads((FOLDER.parent / "docs/results/profile.json").read_text(encoding="utf-8"))
    page = (FOLDER.parent / "docs/performance.md").read_text(encoding="utf-8")
    assert modules.profile.tables(kept) in page
