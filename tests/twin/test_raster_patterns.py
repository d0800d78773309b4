"""What was made fast is what it was: patterns and pixel noise against loops one can read."""

import math

import numpy as np
import pytest
from handful_twin import noise, paint
from handful_twin import raster_patterns as patterns
from handful_twin.raster_kernels import IN_SHADOW

HEIGHT_PX, WIDTH_PX, FACES = 13, 21, 7
KINDS = ("plain", "checker", "stripes", "noise", "gradient")
WHOLE = 2**64


def light_left(row: np.ndarray, M: np.ndarray, x: float, y: float, z: float) -> float:
    a, b, c = ((m[0] * x + m[1] * y + m[2]) * z + m[3] for m in M)
    kind = KINDS[int(row[0])]
    if kind == "noise":
        p, q, r = (math.floor(k * 8) % 64 for k in (a, b, c))
        dark = patterns.NOISE[(p * 64 + q) * 64 + r] * (1.0 / 255.0)
    elif kind == "gradient":
        a = 0.25 * (a + 0.5 * c)
        dark = abs(2.0 * (a - math.floor(a)) - 1.0)
    elif kind == "checker":
        dark = float((math.floor(a) + math.floor(b) + math.floor(c)) % 2)
    else:
        dark = float(math.floor(a) % 2)
    return float(1.0 - row[2] * dark)


class Scene:
    """Visibility buffers of blocks and single samples of all there is: faces with each pattern and
    with none, in a shadow and out of it, and the backdrop."""

    def __init__(self, seed: int, n: int, backdrop: str) -> None:
        rng = np.random.default_rng(seed)
        self.n, shape = n, (HEIGHT_PX * n, WIDTH_PX * n)
        coarse = rng.integers(-1, FACES, (HEIGHT_PX // 2 + 1, WIDTH_PX // 5 + 1))
        face = np.kron(coarse, np.ones((2 * n, 5 * n), np.int64))[: shape[0], : shape[1]]
        odd = rng.random(shape) < 0.03
        face[odd] = rng.integers(-1, FACES, odd.sum())
        shadow = (np.arange(shape[1]) // n % 3 == 0) & (face >= 0)
        self.face_of = np.where(shadow, IN_SHADOW - face, face).astype(np.int32).ravel()
        # Empty samples have what was there before.
        self.shade = rng.uniform(0.1, 1.4, face.size).astype(np.float32)
        nearness = rng.uniform(0.3, 20.0, face.size)
        self.nearness = np.where(face.ravel() < 0, 0.0, nearness).astype(np.float32)
        self.face_rgb = rng.uniform(0.0, 1.0, (FACES, 3)).astype(np.float32)
        self.face_pattern = np.array([-1, 1, 2, 3, 4, 1, -1], np.int32)
        kinds = (backdrop, "checker", "stripes", "noise", "gradient")
        self.patterns = np.array(
            [
                paint.Pattern(
                    kind, rng.uniform(0.02, 0.2), rng.uniform(0.2, 1.0), rng.uniform(-3, 3),
                    tuple(rng.uniform(0, 1, 3)),
                ).row()
                for kind in kinds
            ]
        )  # fmt: skip
        self.frame = np.array([0, 0, 1, 2, 1], np.int32)
        turn = np.linalg.qr(rng.normal(size=(4, 3, 3)))[0]
        self.poses = np.concatenate([turn[:3], rng.uniform(-1, 1, (3, 3, 1))], axis=2)
        self.X_BC = np.eye(4)
        self.X_BC[:3, :3], self.X_BC[:3, 3] = turn[3], rng.uniform(-1, 1, 3)
        self.lens = np.array([17.0, 18.0, 9.3, 6.1])
        self.horizon, self.backdrop = np.array([0.1, -1.0, 6.0]), rng.uniform(0, 1, (2, 3))

    def drawn(self) -> np.ndarray:
        out = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        patterns.resolve(
            out, self.shade, self.face_of, self.nearness, self.n, self.face_rgb, self.horizon,
            self.backdrop, self.face_pattern, self.frame, self.patterns, self.poses, self.X_BC,
            self.lens, patterns.NOISE,
        )  # fmt: skip
        return out

    def pixel(self, v: int, u: int, M: np.ndarray) -> list[float]:
        """(3,) grey levels: sample by sample, one look-up a face."""
        n, fx, fy = self.n, 1.0 / self.lens[0], 1.0 / self.lens[1]
        x, y = (u - self.lens[2]) * fx, (v - self.lens[3]) * fy
        places = [
            (i, j, (v * n + i) * WIDTH_PX * n + u * n + j) for i in range(n) for j in range(n)
        ]
        seen = [int(self.face_of[at]) for _, _, at in places]

        def left(f: int, at: int) -> float:
            i = 0 if f == -1 else int(self.face_pattern[f])
            if i < 0 or (f == -1 and not self.patterns[0, 0]):
                return 1.0
            z = 2.0 / math.sqrt(x * x + y * y + 1.0) if f == -1 else 1.0 / float(self.nearness[at])
            return light_left(self.patterns[i], M[i], x, y, z)

        if len(set(seen)) == 1 and seen[0] != -1:
            f = seen[0] if seen[0] >= 0 else IN_SHADOW - seen[0]
            total = 0.0
            for _, _, at in places:
                total += float(self.shade[at])
            s = total * (1.0 / (n * n)) * left(f, places[0][2])
            return [255.0 * min(1.0, s * float(c)) for c in self.face_rgb[f]]
        rgb, known, light = [0.0, 0.0, 0.0], -2, 1.0
        for (i, j, at), f in zip(places, seen, strict=True):
            f = IN_SHADOW - f if f < -1 else f
            if f != known:
                known, light = f, left(f, at)
            if f == -1:
                a, b, c = self.horizon
                climbs = a * (u + (j + 0.5) / n - 0.5) + b * (v + (i + 0.5) / n - 0.5) + c
                more = [light * c for c in self.backdrop[int(climbs > 0.0)]]
            else:
                more = [
                    min(1.0, float(self.shade[at]) * light * float(c)) for c in self.face_rgb[f]
                ]
            rgb = [have + one for have, one in zip(rgb, more, strict=True)]
        return [value * (255.0 / (n * n)) for value in rgb]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("backdrop", KINDS)
def test_a_patterned_picture_is_that_of_plain_loops_to_the_bit(n: int, backdrop: str) -> None:
    scene = Scene(KINDS.index(backdrop), n, backdrop)
    M = patterns._lattices.py_func(scene.patterns, scene.frame, scene.poses, scene.X_BC)
    told = [[scene.pixel(v, u, M) for u in range(WIDTH_PX)] for v in range(HEIGHT_PX)]
    assert np.array_equal(scene.drawn(), (np.array(told) + 0.5).astype(np.uint8))


def mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WHOLE
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WHOLE
    return z ^ (z >> 31)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (29, 37)])  # 1, 35 and 1073 pixels: odd, blocks
def test_pixel_noise_is_the_sum_of_four_bytes_of_a_counter_to_the_bit(
    size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    table, start, moment, golden = rng.uniform(0.0, 255.0, (3, 256)), 987, 41, 0x9E3779B97F4A7C15
    begin = mixed((start + (moment + 1) * golden) % WHOLE)
    for sigma in (0.0, 4.0, 300.0):
        want = []
        for i, level in enumerate(pixels.ravel()):
            half = mixed((begin + (i // 2 + 1) * golden) % WHOLE) >> (32 * (i % 2))
            total = sum((half >> shift) & 0xFF for shift in (0, 8, 16, 24))
            normal = (total - 510.0) * (1.0 / math.sqrt(4.0 * (256.0**2 - 1.0) / 12.0))
            want.append(int(min(max(table[i % 3, level] + sigma * normal + 0.5, 0.0), 255.0)))
        made = noise.expose(pixels, table, sigma, start, moment)
        assert made.ravel().tolist() == want
