"""The runbook's file: what is read, and where what is wrong stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.incidents.runbook import Runbook, parse_runbook
from server.incidents.runbook_file import LOOK_S, RunbookInForce
from server.incidents.verification import PATTERNS, parse_verification
from server.slo.model.objective import PolicyError
from tests.test_architecture import ROOT

STEP = "triage:\n  - id: look\n    text: Look\n"
LAST = STEP.replace("triage", "post-incident")
PHASES = ["triage", "stabilise", "diagnose", "recover", "post_incident"]


def wrong(source: str) -> list[str]:
    with pytest.raises(PolicyError) as raised:
        parse_runbook(source)
    return raised.value.lines()


def test_ours_is_valid_and_has_every_phase() -> None:
    runbook = parse_runbook((ROOT / "runbook.yaml").read_text())
    assert list(dict.fromkeys(step.phase for step in runbook.steps)) == PHASES
    assert len(runbook.for_incident(2, [], ["evenkeel"])) == len(runbook.steps) == 14
    assert "throttle" not in [act for step in runbook.for_incident(2, [], ["checkout"]) for act in step.acts]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("", "runbook.yaml:1: give one map, with the phases triage, stabilise, diagnose, recover, post-incident"),
        ("triage: []\n", "runbook.yaml:1: has no step"),
        ("triagge: []\n", "runbook.yaml:1: triagge: is not a field here"),
        (STEP + STEP.replace("triage", "recover"), "runbook.yaml:5: recover[0].id: look is another step's too"),
        (STEP + "    verify: error ratio under 1 %\n", "runbook.yaml:4: triage[0].verify: has no deadline"),
        (STEP + "    verify: error ratio under 0 %, within 5\n", "can never hold"),
        (STEP + "    verify: luck for 3 minutes, within 5\n", "`luck` is not known; known are error ratio under 1 %"),
        (STEP + "    verify: p95 normal for 9 minutes, within 5\n", "within more than that"),
        (STEP + "    verify: report written, within 5\n", "stands alone"),
        (
            STEP.replace("triage", "post-incident") + "    verify: alerts resolved, within 5\n",
            "only while the incident",
        ),
        (STEP + "    acts: [reboot]\n", "runbook.yaml:4: triage[0].acts[0]"),
        (STEP + "    when: {severity: [4]}\n", "runbook.yaml:4: triage[0].when.severity"),
        (STEP.replace("look", "Look here"), "runbook.yaml:2: triage[0].id: give up to 63 lower-case letters"),
        (STEP.replace("    text: Look\n", ""), "runbook.yaml:2: triage[0].text: is missing"),
        ("triage: [\n", "runbook.yaml:2: not YAML"),
    ],
)
def test_a_fault_is_named_with_its_line_and_field(source: str, fault: str) -> None:
    assert any(fault in line for line in wrong(source)), wrong(source)


def test_all_faults_are_told_at_once() -> None:
    source = STEP + "    verify: luck, within 5\nrecover:\n  - id: look\n    text: Look\n    verify: p95 normal\n"
    assert [line.split(":")[1] for line in wrong(source)] == ["4", "6", "8"]


WORDS = st.sampled_from(
    ["error ratio under 1 %", "p95 under 300 ms", "p95 normal", "traffic normal", "alerts resolved"]
)


@given(st.lists(WORDS, min_size=1, max_size=3), st.integers(0, 60), st.integers(1, 1440))
def test_what_is_written_is_what_is_meant(words: list[str], hold: int, within: int) -> None:
    text = f"{' and '.join(words)} for {hold} minutes, within {within}"
    if within <= hold:
        with pytest.raises(ValueError, match="within more"):
            parse_verification(text)
        return
    asked = parse_verification(text)
    assert (asked.text, len(asked.predicates), asked.hold_s, asked.within_s) == (
        text,
        len(words),
        hold * 60,
        within * 60,
    )


PIECES = st.sampled_from(
    [pattern for pattern, _ in PATTERNS] + [" and ", " for ", ", within ", "3", " minutes", "%", "\n"]
)


@given(st.one_of(st.text(max_size=80), st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)))
def test_any_text_is_a_verification_or_a_fault(text: str) -> None:
    try:
        asked = parse_verification(text)
    except ValueError:
        return
    assert not asked.live or 0 <= asked.hold_s < asked.within_s


@given(st.text(max_size=200) | st.text(alphabet="triage: -[]{}\n'\"&*!|>#%a1", max_size=200))
def test_any_file_is_a_runbook_or_a_fault(source: str) -> None:
    try:
        found = parse_runbook(source)
    except PolicyError:
        return
    assert found.steps


@pytest.mark.gen_test
async def test_a_change_of_the_file_is_taken_in_and_a_fault_keeps_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runbook.yaml"
    now = [0.0]
    monkeypatch.setattr("server.incidents.runbook_file.time.monotonic", lambda: now[0])

    async def after(text: str | None) -> Runbook:
        if text is not None:
            path.write_text(text)
        for _ in range(2):  # it has stood still for a look
            now[0] += LOOK_S
            found = await runbook.current()
        return found

    runbook = RunbookInForce(path)
    assert "Set RUNBOOK_FILE to the file with the steps" in (runbook.problem or "")
    assert len((await after(STEP)).steps) == 1
    assert runbook.problem is None
    assert [step.text for step in (await after(STEP + "    verify: luck\n")).steps] == ["Look"]
    assert "runbook.yaml:4: triage[0].verify" in (runbook.problem or "")
    assert len((await after(STEP + "  - id: act\n    text: Act\n")).steps) == 2
