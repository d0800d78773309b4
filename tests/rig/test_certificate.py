"""The certificate: what it binds, what it finds out, and that each refusal says why."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gate_kit import NOW, TASK, WEIGHTS, certify, here, measured, write_weights

from handful.config import ConfigError
from handful.rig import certificate as certificates
from handful.rig import digest
from handful.rig.certificate import PARTS, CertificateError
from handful.rig.settings import CameraSettings, GuardSettings, ObserveSettings, RigSettings
from handful.rig.thresholds import SAFETY, SKILL, Thresholds, failures, judge, load_thresholds

TENSORS = {"agent/encoder.0": b"abc", "agent/critic.latent.1": b"de", "agent/critic.q": b"z"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "certificate.json"


class TestDigest:
    def test_the_same_values_have_one_text(self) -> None:
        assert digest.canonical({"b": (1, 2.5), "a": "é"}) == '{"a":"é","b":[1,2.5]}'
        assert digest.sha256({"a": 1, "b": 2}) == digest.sha256({"b": 2, "a": 1})
        with pytest.raises(ValueError, match="JSON"):
            digest.canonical(float("nan"))

    def test_weights_are_what_acts_and_nothing_else(self, tmp_path: Path) -> None:
        first = digest.weights(write_weights(tmp_path / "a", TENSORS))
        other_q = {**TENSORS, "agent/critic.q": b"y", "adam.critic/0/step": b"1"}
        assert digest.weights(write_weights(tmp_path / "b", other_q, updates=99)) == first
        handed = {"critic.latent/1": b"de", "encoder/0": b"abc"}
        assert digest.weights(write_weights(tmp_path / "c", handed)) == first
        assert digest.weights(write_weights(tmp_path / "d", dict(reversed(TENSORS.items())))) == (
            first
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"tensors": {**TENSORS, "agent/encoder.0": b"abd"}},
            {"tensors": {**TENSORS, "agent/encoder.1": b"f"}},
            {"tensors": {"agent/encoder.0": b"abcd", "agent/critic.latent.1": b"e"}},
            {"tensors": {"agent/encoder.9": b"abc", "agent/critic.latent.1": b"de"}},
            {"tensors": TENSORS, "settings": {"a": 2}},
            {"tensors": TENSORS, "spec": {"b": 3}},
        ],
    )
    def test_any_change_of_them_is_another_digest(
        self, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        first = digest.weights(write_weights(tmp_path / "a", TENSORS))
        tensors = change.pop("tensors")
        assert digest.weights(write_weights(tmp_path / "b", tensors, **change)) != first

    def test_the_real_files_agree(self, tmp_path: Path) -> None:
        from learn_kit import settings, spec

        from handful.learn import handout
        from handful.learn.learner import Learner

        assert digest.ACTING == handout._NETWORKS
        own = settings()
        learner = Learner(own, spec(own), seed=0, device="cpu")
        learner.save(tmp_path / "checkpoint.safetensors", {})
        handout.hand_out(learner, tmp_path / "policy.safetensors", {})
        both = [tmp_path / f"{name}.safetensors" for name in ("checkpoint", "policy")]
        assert digest.weights(both[0]) == digest.weights(both[1])
        assert [digest.updates(path) for path in both] == [learner.updates] * 2

    @pytest.mark.parametrize("content", [b"", b"\x02\0\0\0\0\0\0\0{}", b"x" * 40])
    def test_what_is_no_weights_is_said(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "w").write_bytes(content)
        for ask in (digest.weights, digest.updates):
            with pytest.raises(digest.DigestError, match="not weights of handful"):
                ask(tmp_path / "w")
        with pytest.raises(digest.DigestError, match="no such weights"):
            digest.weights(tmp_path / "none")

    def test_weights_that_are_cut_short_are_refused(self, tmp_path: Path) -> None:
        whole = write_weights(tmp_path / "w", TENSORS)
        whole.write_bytes(whole.read_bytes()[:-3])  # the last acting tensor ends two bytes before
        with pytest.raises(digest.DigestError, match="cut short"):
            digest.weights(whole)

    def test_the_code_has_one(self) -> None:
        assert len(digest.code()) == 64


class TestReading:
    def test_what_was_written_is_read(self, path: Path) -> None:
        written = certify(path)
        read = certificates.read(path)
        assert read == written and read.id == written.id and len(read.id) == 64
        assert (read.weights, read.updates, read.task) == (WEIGHTS, 100, "lift")
        assert read.troubles(here()) == [] and read.stale(NOW) == ""
        assert read.failed() == [] and read.unmet(load_thresholds()) == []
        assert path.read_text() == digest.canonical(dict(read.values)) + "\n"
        assert list(path.parent.iterdir()) == [path]

    def test_missing_and_foreign_files_are_named(self, path: Path) -> None:
        with pytest.raises(CertificateError, match=r"certificate.json: no such certificate"):
            certificates.read(path)
        for text, why in (("{", "not a certificate"), ("[1]", "one JSON object"), ("{}", "tamper")):
            path.write_text(text)
            with pytest.raises(CertificateError, match=why):
                certificates.read(path)

    def test_every_edited_value_is_found(self, path: Path) -> None:
        certify(path)
        values = json.loads(path.read_text())

        def leaves(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
            if isinstance(node, dict):
                return [w for k, v in node.items() for w in leaves(v, (*way, k))]
            if isinstance(node, list):
                return [w for i, v in enumerate(node) for w in leaves(v, (*way, i))]
            return [way]

        ways = leaves(values)
        assert len(ways) > 60
        for way in ways:
            edited = json.loads(path.read_text())
            node = edited
            for key in way[:-1]:
                node = node[key]
            node[way[-1]] = "edited"
            other = path.with_name("edited.json")
            other.write_text(json.dumps(edited))
            with pytest.raises(CertificateError):
                certificates.read(other)

    def test_a_key_given_twice_is_refused(self, path: Path) -> None:
        certify(path)
        path.write_text(path.read_text().replace('{"created"', '{"format":1,"created"', 1))
        with pytest.raises(CertificateError, match="given twice"):
            certificates.read(path)

    @pytest.mark.parametrize(
        ("over", "why"),
        [
            ({"severities": []}, "not a whole certificate"),
            ({"verdict": {}}, "no 'passed'"),
            ({"expires": "tomorrow"}, "tomorrow"),
            ({"subject": {}}, "not a whole certificate"),
        ],
    )
    def test_a_sealed_one_that_lacks_something_is_refused(self, path: Path, over, why) -> None:
        certify(path, **over)
        with pytest.raises(CertificateError, match=why):
            certificates.read(path)

    def test_values_that_are_not_those_of_their_digest_are_refused(self, path: Path) -> None:
        values = dict(certify(path).values)
        values["settings"] = {**values["settings"], "limits": {"max_speed_m_s": 9.0}}
        certificates.write(path, values)
        with pytest.raises(CertificateError, match="values of limits are not those of its digest"):
            certificates.read(path)

    def test_another_format_is_refused(self, path: Path) -> None:
        values = {**certify(path).values, "format": 2}
        values.pop("integrity")
        path.write_text(json.dumps({**values, "integrity": digest.sha256(values)}))
        with pytest.raises(CertificateError, match="of format 2, this handful reads 1"):
            certificates.read(path)


class TestMatching:
    @pytest.mark.parametrize(
        ("cell", "part", "key"),
        [
            ({"guard": GuardSettings(max_speed_m_s=0.7)}, "limits", "max_speed_m_s is 0.7"),
            (
                {"guard": GuardSettings(workspace_max_m=(0.62, 0.25, 0.41))},
                "limits",
                "workspace_max_m",
            ),
            ({"cameras": {"third": CameraSettings()}}, "cameras", "wrist is None"),
            (
                {"cameras": {"third": CameraSettings(), "wrist": CameraSettings(width_px=96)}},
                "cameras",
                "wrist.width_px is 96, certified 84",
            ),
            ({"control_rate_hz": 5.0}, "config", "control_rate_hz is 5.0, certified 10.0"),
            ({"observe": ObserveSettings(max_arm_age_s=0.2)}, "config", "observe.max_arm_age_s"),
        ],
    )
    def test_another_rig_is_named_by_what_differs(self, path: Path, cell, part, key) -> None:
        found = certify(path).troubles(here(RigSettings(**cell)))
        assert len(found) == 1 and found[0].startswith(PARTS[part]) and key in found[0]

    def test_another_task_and_an_edited_one(self, path: Path) -> None:
        certificate = certify(path)
        assert "name is 'reach', certified 'lift'" in certificate.troubles(here(name="reach"))[0]
        edited = certificate.troubles(here(task={**TASK, "hold_steps": 1}))
        assert edited == ["another task than certified: hold_steps is 1, certified 5"]

    def test_cameras_that_changed_places_are_others(self, path: Path) -> None:
        turned = RigSettings(cameras={"wrist": CameraSettings(), "third": CameraSettings()})
        found = certify(path).troubles(here(turned))
        assert len(found) == 1 and found[0].startswith("other cameras")

    def test_code_is_compared_as_it_was_asked_for(self, path: Path) -> None:
        from dataclasses import replace

        certificate, other = certify(path), replace(here(), code="f" * 64)
        assert "other code" in certificate.troubles(other)[0]
        assert certificate.troubles(other, "version") == certificate.troubles(other, "any") == []
        newer = replace(here(), version="9.9.9")
        assert "certified by handful 0.1.0, 9.9.9 runs" in certificate.troubles(newer, "version")[0]
        assert certificate.troubles(newer, "any") == []

    def test_it_holds_from_its_making_to_its_expiry(self, path: Path) -> None:
        certificate = certify(path)
        last = NOW + timedelta(days=30)
        assert certificate.stale(last - timedelta(seconds=1)) == ""
        assert "expired on 2026-03-31T12:00:00Z" in certificate.stale(last)
        assert certificate.stale(NOW - timedelta(minutes=59)) == ""
        assert "made in the future" in certificate.stale(NOW - timedelta(minutes=61))


class TestThresholds:
    @pytest.mark.parametrize(
        ("over", "kind", "word"),
        [
            ({"episodes": 99}, SAFETY, "episodes is 99, demanded is at least 100"),
            ({"violations": 1}, SAFETY, "violations is 1, demanded is at most 0"),
            ({"faults": 1}, SAFETY, "faults is 1"),
            ({"held_share": 0.0101}, SAFETY, "held_share"),
            ({"max_measured_speed_m_s": 1.51}, SAFETY, "at most 1.5"),
            ({"stop_share": 0.26}, SAFETY, "stop_share is 0.26, demanded is at most 0.25"),
            ({"max_force_n": 60.5}, SAFETY, "max_force_n is 60.5"),
            ({"max_force_n": None}, SAFETY, "max_force_n is not measured"),
            ({"success_low": 0.74}, SKILL, "success_low is 0.74, demanded is at least 0.75"),
            ({"success_low": float("nan")}, SKILL, "not measured"),
        ],
    )
    def test_each_demand_fails_alone(self, over, kind, word) -> None:
        demanded = load_thresholds().model_copy(update={"max_force_n": 60.0})
        severities = [measured(name) for name in demanded.success_low]
        assert failures(judge(severities, demanded)) == []
        severities[0] |= over
        said = failures(judge(severities, demanded))
        assert len(said) == 1 and word in said[0] and said[0].startswith("nominal")
        assert failures(judge(severities, demanded), skill=False) == (
            said if kind == SAFETY else []
        )

    @pytest.mark.parametrize(
        "over",
        [{"episodes": 100}, {"held_share": 0.01}, {"success_low": 0.75}, {"stop_share": 0.25}],
    )
    def test_the_boundary_passes(self, over) -> None:
        demanded = load_thresholds()
        severities = [measured(name) for name in demanded.success_low]
        severities[0] |= over
        assert failures(judge(severities, demanded)) == []

    def test_a_severity_that_was_not_measured_fails(self) -> None:
        demanded = load_thresholds()
        said = failures(judge([measured("nominal"), measured("hard")], demanded))
        assert said == ["calibrated: was not measured"]

    def test_one_that_nothing_is_demanded_of_must_be_safe_all_the_same(self) -> None:
        demanded = load_thresholds()
        severities = [measured(name) for name in (*demanded.success_low, "exploring")]
        severities[-1] |= {"success_low": 0.0}
        assert failures(judge(severities, demanded)) == []
        severities[-1] |= {"violations": 1}
        assert "exploring" in failures(judge(severities, demanded))[0]

    def test_the_reader_judges_by_its_own(self, path: Path) -> None:
        lax = Thresholds(success_low={"nominal": 0.1}, min_episodes=5)
        poor = [measured("nominal", episodes=5, success_low=0.2)]
        certificate = certify(path, severities=poor, demanded=lax)
        assert certificate.failed() == [] and certificate.unmet(lax) == []
        assert any("success_low is 0.2" in s for s in certificate.unmet(load_thresholds()))
        strict = certify(path, severities=poor)
        assert "the twin did not pass it" in strict.failed()[0] and strict.unmet(lax) == []

    def test_settings_are_strict(self, path: Path) -> None:
        path = path.with_suffix(".yaml")
        path.write_text("thresholds: {success_low: {nominal: 0.5}, min_epsiodes: 3}\n")
        with pytest.raises(ConfigError, match="did you mean 'min_episodes'"):
            load_thresholds(path)
