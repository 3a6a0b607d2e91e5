"""The commands that ask a running Evenkeel, against a real one: tables, --json, exit statuses, what errors say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner, Result

from server.__main__ import main
from server.config import command as config_command
from server.kernel import remote
from server.kernel.remote_command import Remote
from server.slo.api.command import budget_left, counted
from tests.gate.asking import publish
from tests.gate.making import objective
from tests.gate.test_command import Answers, http_answer
from tests.ingest.making import body, outcome, value
from tests.ingest.sending import send
from tests.site import Site

Web = Callable[..., Awaitable[Site]]
Run = Callable[..., Awaitable[Result]]


async def asking(web: Web, monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[Site, str, Run]:
    """A site, a key, and commands that ask with it."""
    site = await web(**environment)
    key = await site.key("ingest", "read", "act", name="mira")
    monkeypatch.setenv("EVENKEEL_API_KEY", key)
    monkeypatch.delenv("EVENKEEL_URL", raising=False)

    async def run(*arguments: str, given: bytes | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "--url", site.url], input=given)

    return site, key, run


def test_a_budget_is_told_in_the_words_of_pages() -> None:
    known = {"budget_left": 0.31, "budget_worst": None, "budget_best": None, "exhausted_in_s": 60.0, "judged": True}
    for differs, said in (
        ({}, ("31 %", "1 min")),
        ({"judged": False, "budget_left": -0.98}, ("too little traffic", "–")),
        ({"judged": False}, ("too little traffic", "–")),
        ({"budget_left": None}, ("no traffic", "–")),
        ({"budget_left": None, "recounting": True}, ("being recounted", "–")),
        ({"budget_worst": 0.12, "budget_best": 0.4}, ("12-40 %", "1 min")),
    ):
        assert budget_left(known | differs) == said, differs
    times = {"from": "f", "to": "t", "exact_since": "2025-10-26T00:00:00Z", "oldest": "2026-11-30T16:30:00Z"}
    figures = {"state": "counted", "left_out_good": 0, "left_out_bad": 0, "bad": 2, "total": 81, "bad_ratio": 2 / 81}
    span = {"burn_rate": 2.4, "budget_left": -0.23, "judged": False, "exhausted_in_s": 0.0}
    told = dict(counted(times | figures | span))
    assert (told["budget left"], told["gone in"]) == ("too little traffic", "–")
    assert told["counted exactly since"] == "2026-11-30T16:30:00Z", "before that there is nothing"


def words(done: Result) -> list[list[str]]:
    """The words of each line of what is for people."""
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.gen_test
async def test_what_is_asked_is_a_table_or_the_answer_of_the_api(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site, key, run = await asking(web, monkeypatch)
    await publish(site, 1, objective(-0.12, name="evenkeel-availability", state="burning"))
    head, first, second = words(await run("slo", "status"))
    assert head[:4] == ["STATE", "OBJECTIVE", "SERVICE", "TARGET"]
    assert (first[:2], first[-5:]) == (["Burning", "evenkeel-availability"], ["-12", "%,", "overspent", "1", "–"])
    assert "112 of 10,000" in " ".join(first)
    assert second[:3] == ["not", "evaluated", "evenkeel-latency"]
    told = await run("slo", "status", "--json")
    assert json.loads(told.stdout)["objectives"][0]["status"]["bad"] == 112
    nothing = await run("slo", "budget", "evenkeel-latency")
    assert (nothing.exit_code, "no traffic" in nothing.stdout) == (1, True)

    sent = body(outcome(request_id="r-1", status=502, error_class="Up\x1b[2Jstream"))
    assert (await send(site, key, sent)).code == 201
    found = words(await run("outcome", "find", "r-1"))
    assert (len(found), found[1][1], "502" in found[1], "Up\\x1b[2Jstream" in found[1]) == (2, "checkout", True, True)
    none = await run("outcome", "find", "r-2")
    assert (none.exit_code, none.stdout, none.stderr) == (1, "", "Nothing has the request id or trace id r-2.\n")

    started = await run("change", "start", "--service", "checkout", "--version", "a2", "--summary", "the new cart")
    number = started.stdout.strip()
    listed = words(await run("change", "list", "--service", "checkout"))
    assert [line[0] for line in listed[:2]] == ["CHANGE", number]
    assert ["summary", "the", "new", "cart"] in words(await run("change", "show", number))
    planned = ["maintenance", "plan", "--service", "checkout", "--minutes", "30", "--reason", "new disk"]
    assert words(await run(*planned))[0][:2] == ["Maintenance", "1:"]
    assert words(await run("maintenance", "extend", "1", "--minutes", "10"))[0][:2] == ["Maintenance", "1:"]
    assert words(await run("maintenance", "list"))[1][0] == "1"
    assert words(await run("maintenance", "end", "1"))[0][:2] == ["Maintenance", "1:"]
    assert words(await run("maintenance", "list", "--all"))[1][0] == "1"
    for wrong, why in (
        (["extend", "1", "--minutes", "5"], "No maintenance 1 is planned or running"),
        (["plan", "--minutes", "5", "--reason", "x", "--start", "2026-12-01T03:00"], "no time with a zone"),
    ):
        refused = await run("maintenance", *wrong)
        assert (refused.exit_code > 0, why in refused.output) == (True, True), refused.output

    declared = words(await run("incident", "declare", "nobody can pay", "--service", "checkout"))
    assert declared[0][:2] == ["Incident", "1:"]
    assert words(await run("incident", "list"))[1][:4] == ["1", "SEV-2", "declared", "checkout"]
    assert "mira" in " ".join(words(await run("incident", "timeline", "1"))[1])


@pytest.mark.gen_test
async def test_settings_are_changed_and_awaited_in_every_process(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    site, _, run = await asking(web, monkeypatch)
    done = await run("config", "set", "INGEST_MAX_BATCH_ITEMS=500", "--reason", "surge", "--minutes", "30")
    assert words(done)[-1][:4] == ["1", "of", "1", "process,"], done.output
    assert site.parts.settings.limits_for(0).ingest_max_batch_items == 500
    (row,) = [line for line in words(await run("config", "show")) if line[0] == "INGEST_MAX_BATCH_ITEMS"]
    assert (row[1:3], row[-2:]) == (["500", "revision"], ["1000", "–"])
    assert words(await run("config", "history"))[1][0] == "2"
    assert json.loads((await run("config", "rollback", "--reason", "over", "--json")).stdout)["revision"] == 3
    assert site.parts.settings.limits_for(0).ingest_max_batch_items == 1000

    wrong = await run("config", "set", "INGEST_MAX_BATCH_ITEMS=0", "--reason", "x")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("INGEST_MAX_BATCH_ITEMS: ")


@pytest.mark.gen_test
async def test_outcomes_are_sent_in_parts_and_each_fault_is_named_by_its_number(
    web: Web, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    site, _, run = await asking(web, monkeypatch, INGEST_MAX_BATCH_ITEMS="500")
    lines = [json.dumps(outcome(request_id=f"r-{n}")) for n in range(1100)]
    lines[700] = json.dumps(outcome(status=1))
    done = await run("outcome", "send", given="\n".join([*lines, ""]).encode())
    assert (done.exit_code, done.stdout) == (1, "1,099 outcomes stored, 1 refused.\n")
    assert done.stderr.startswith("Outcome 701: status ")
    assert value(database_url, "SELECT count(*) FROM outcomes") == 1099
    array = await run("outcome", "send", "--json", given=b" \n" + body(outcome(), outcome()))
    assert (array.exit_code, json.loads(array.stdout)["accepted"]) == (0, 2)

    monkeypatch.setattr(remote, "PAUSE_S", 0.0)
    for given, said in ((b"[{", "This is no JSON array"), (b"x\n" * 3, "")):
        broken = await run("outcome", "send", given=given)
        assert (broken.exit_code != 0, said in broken.stderr) == (True, True), broken.output
    monkeypatch.setenv("EVENKEEL_API_KEY", await site.key("read", name="reader"))
    refused = await run("outcome", "send", given="\n".join(lines).encode())
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "reader lacks the scope ingest. Nothing was done. 0 outcomes were stored before.\n"


def test_what_has_no_key_of_its_own_is_sent_once_and_a_busy_server_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE_S", 0.0)
    monkeypatch.setenv("EVENKEEL_API_KEY", "ek_x")
    shown = http_answer("200 OK", '{"revision":{"revision":7}}')
    lost = Answers(shown, b"", shown)
    asked = ["config", "set", "INGEST_MAX_BATCH_ITEMS=5", "--reason", "x", "--url", lost.url]
    done = CliRunner().invoke(main, asked)
    assert (done.exit_code, done.stderr[:37]) == (2, "It is not known whether it was done. ")
    assert [seen.split(b" ")[0] for seen in lost.seen] == [b"GET", b"PATCH"]
    assert b'If-Match: "7"' in lost.seen[1]

    busy = http_answer("503 Busy", '{"code":"UNAVAILABLE","detail":"The database does not answer. Nothing was done."}')
    done = CliRunner().invoke(main, ["slo", "status", "--url", Answers(busy, busy).url])
    assert (done.exit_code, done.stderr) == (2, "The database does not answer. Nothing was done.\n")
    done = CliRunner().invoke(main, ["slo", "status", "--url", "evenkeel.example.com"])
    assert (done.exit_code, done.stderr[:32]) == (2, "--url is 'evenkeel.example.com';")


def test_a_setting_that_has_not_come_everywhere_in_time_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config_command, "RECEIPTS_S", 0.0)
    late = {"text": "web.2 silent for 12 s; may still enforce batch items 1000"}
    rollout = {"complete": False, "text": "1 of 2 processes", "stragglers": [late]}
    monkeypatch.setattr(Remote, "get", lambda *_: {"rollout": rollout})
    with pytest.raises(SystemExit) as ended:
        config_command.awaited(Remote("", False), {"message": "Revision 2 is in force."})
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("Revision 2 is in force.\n1 of 2 processes.\n", f"{late['text']}.\n")
