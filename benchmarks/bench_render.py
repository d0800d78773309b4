"""What one 100 x 100 picture of a dm_control task costs through EGL and through OSMesa.

A renderer can be bound once in a process, so each has one of its own; they take turns. Median wall
and processor time of a picture [ms].

    LP_NUM_THREADS=1 python benchmarks/bench_render.py
"""

import json
import os
import statistics
import subprocess
import sys
import time

TASKS = (("cartpole", "swingup"), ("cheetah", "run"), ("walker", "walk"))
TURNS, PICTURES, SIDE_PX = 8, 8, 100


def serve() -> None:
    """Draw on order until the input ends."""
    from dm_control import suite

    environments = {}
    for domain, task in TASKS:
        environment = suite.load(domain, task)
        environment.reset()
        environment.physics.render(SIDE_PX, SIDE_PX, camera_id=0)
        environments[f"{domain}_{task}"] = environment
    print("ready", flush=True)
    for _ in sys.stdin:
        taken = {}
        for name, environment in environments.items():
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            for _ in range(PICTURES):
                environment.physics.render(SIDE_PX, SIDE_PX, camera_id=0)
            cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
            taken[name] = (1e3 * wall_s / PICTURES, 1e3 * cpu_s / PICTURES)
        print(json.dumps(taken), flush=True)
    for environment in environments.values():
        environment.close()


def main() -> None:
    """Both renderers in turns; one JSON object."""
    workers, turns = {}, {}
    for name in ("egl", "osmesa"):
        worker = subprocess.Popen(
            [sys.executable, __file__, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "MUJOCO_GL": name},
        )
        assert worker.stdin is not None and worker.stdout is not None
        if worker.stdout.readline().strip() == "ready":
            workers[name], turns[name] = worker, []
        else:
            print(f"{name}: does not draw here", file=sys.stderr)
    for _ in range(TURNS):
        for name, worker in workers.items():
            print("go", file=worker.stdin, flush=True)
            turns[name].append(json.loads(worker.stdout.readline()))
    numbers = {"load": os.getloadavg()[0]}
    for name, taken in turns.items():
        for task in taken[0]:
            for index, what in enumerate(("wall_ms", "cpu_ms")):
                value = statistics.median(turn[task][index] for turn in taken)
                numbers[f"{task}_{name}_{what}"] = round(value, 2)
    print(json.dumps(numbers, indent=2))


if __name__ == "__main__":
    serve() if "serve" in sys.argv else main()
