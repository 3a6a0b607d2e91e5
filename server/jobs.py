"""The scheduled work of the watch: what one process does for all of them."""

from __future__ import annotations

from server.alerts import retention_store as old_alerts
from server.alerts import store as open_alerts
from server.alerts.board import Board
from server.auth import signin_store
from server.changes import flag_sources, flag_store, restarts
from server.changes import store as changes
from server.changes.deploys import Deploys
from server.changes.flag_sources import FlagPoller
from server.changes.restarts import Restarts
from server.config import staging
from server.config import store as config
from server.config.expiry import expiry_job
from server.config.registry import environment_values
from server.config.staging import Bake
from server.incidents import capturing, deploy_store, keeper, reminding, verifier
from server.incidents import deploys as deploys_asked
from server.incidents import store as incidents
from server.incidents.capturing import Capturing
from server.incidents.deploys import DeployActs
from server.incidents.keeper import Keeper
from server.incidents.runbook_file import RunbookInForce
from server.incidents.verifier import Verifier
from server.ingest import retention_store as old_intake
from server.ingest.apart import settle_marks
from server.ingest.partitions import (
    SUMMARISE_EVERY_S,
    RequestIds,
    drop_all,
    ensure_all,
    index_request_ids,
)
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import Environment
from server.live import fold as fold_module
from server.live import fold_store, service_rollups
from server.live.fold import Fold
from server.live.retention_store import Retention
from server.live.service_rollups import ServiceRollups
from server.live.windows import MINUTE_S
from server.maintenance import keeping
from server.maintenance import store as maintenance
from server.notify import outbox_store, secrets
from server.notify import sender as notify
from server.notify.outbox import enqueue
from server.notify.sender import Sender
from server.picture import kept, kept_store
from server.picture import store as picture_store
from server.picture import tick as tick_module
from server.picture.objectives_now import objectives_now
from server.picture.tick import Tick
from server.process.glance import Glance, Presence
from server.process.process import Process
from server.process.watch import Job
from server.signals import copy_store, copying
from server.signals import store as old_signals
from server.signals.copying import SilenceCopies
from server.slo.judge.evaluate import Evaluation
from server.slo.ledger import ledger_store, recount_store
from server.slo.ledger import recount as recount_module
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from server.slo.policy.policies import Policies
from server.telemetry import log_store


def jobs(  # noqa: PLR0917 - what a watch process has made
    env: Environment, db: Database, bus: Bus, process: Process, policies: Policies, glance: Glance
) -> list[Job]:
    """What the holder of the lease does besides the checks, soonest first."""
    tick = tick_of(db, bus, process, policies, glance)
    environment = environment_values(env.raw)
    staged = Bake(db, bus, environment, lambda: objectives_now(tick.picture, tick.age_s(shared_clock.now())))
    ledger = Ledger(policies)
    fold = Fold(db, ledger.fold)
    recount = Recount(db, fold, ledger)
    deploys = Deploys(db)
    return [
        Job("tick", tick_module.EVERY_S, tick.run, 10, tick_module.PHASE),
        Job("fold", fold_module.EVERY_S, fold.run, 30, due=fold_store.PENDING),
        Job("service rollups", service_rollups.EVERY_S, ServiceRollups(db).run, 30),
        Job("recount", recount_module.EVERY_S, recount.run, 30, due=recount_store.ASKED, given=recount.given),
        *of_incidents(env, db, bus, tick),
        *of_people(env, db, bus),
        Job(
            "silence copies",
            copying.EVERY_S,
            SilenceCopies(env, db, policies).run,
            copying.LIMIT_S,
            due=copy_store.ANY_DUE,
        ),
        Job("expiry", 1.0, expiry_job(db, bus, environment), 5, due=config.ANY_OVERDUE),
        Job("bake", staging.EVERY_S, staged.run, 5, due=config.ANY_STAGED),
        Job("deploys", 2.0, deploys.run, 10, due=changes.SERIES_COME, given=deploys.given),
        Job(
            "flags",
            flag_sources.EVERY_S,
            FlagPoller(env, db, bus).run,
            flag_sources.LIMIT_S,
            due=flag_store.ANY_DUE,
        ),
        Job("restarts", restarts.EVERY_S, Restarts(db).run, 10, due=changes.ANY_RESTARTED),
        Job("seal", secrets.SEAL_EVERY_S, lambda _: secrets.seal_plain(db, env.secret_key), 10),
        *retention(env, db),
    ]


def tick_of(db: Database, bus: Bus, process: Process, policies: Policies, glance: Glance) -> Tick:
    """The tick. It looks first at what there is, so that its stages ask for nothing that is not."""

    def given(now: float) -> dict[str, object]:
        return {"refused_from": now - MINUTE_S, "in_force": [objective.id for objective in policies.objectives]}

    seen = Presence(glance, picture_store.SEEN | ledger_store.SEEN | open_alerts.SEEN | keeper.SEEN, given)
    evaluation = Evaluation(db, policies, seen)
    board = Board(db, policies, lambda: evaluation.evidence, enqueue, seen)
    keep = Keeper(db, bus, policies, seen).keep
    return Tick(db, bus, process, evaluation.streams.hear, evaluation.evaluate, board.step, keep, seen)


def of_incidents(env: Environment, db: Database, bus: Bus, tick: Tick) -> list[Job]:
    """What is done while an incident is open."""
    steps = Verifier(db, bus, RunbookInForce(env.runbook_file), lambda: tick.picture)
    acts, any_open = DeployActs(env, db, bus), incidents.ANY_OPEN
    return [
        Job("kept pictures", kept_store.EVERY_S, lambda _: kept.keep(db), 10, due=any_open),
        Job("steps", verifier.EVERY_S, steps.run, 10),
        Job("scope", capturing.EVERY_S, Capturing(db, bus, lambda: tick.picture).run, 10, due=any_open),
        Job("deploy acts", deploys_asked.EVERY_S, acts.run, deploys_asked.LIMIT_S, due=deploy_store.ANY_DUE),
        Job("reminders", reminding.EVERY_S, lambda _: reminding.remind(db, bus), 10, due=any_open),
    ]


def of_people(env: Environment, db: Database, bus: Bus) -> list[Job]:
    """What people are told, and what they have set ahead."""
    sender = Sender(env, db, bus)
    return [
        Job("notify", notify.EVERY_S, sender.run, notify.LIMIT_S),
        Job("notify due", notify.LOOK_S, sender.look, 10, due=outbox_store.ANY_DUE),
        Job("escalation", notify.ESCALATE_EVERY_S, lambda _: notify.escalate(db), 10, due=outbox_store.ANY_PAGE),
        Job(
            "maintenance",
            keeping.EVERY_S,
            lambda _: keeping.keep(db, bus, shared_clock.now()),
            10,
            due=maintenance.ANY_DUE,
            given=lambda: {"now": shared_clock.now()},
        ),
    ]


def retention(env: Environment, db: Database) -> list[Job]:
    """What makes room: each drops or forgets what is older than it is kept."""
    live = Retention(db)
    return [
        Job("request ids", SUMMARISE_EVERY_S, RequestIds(db.of_outcomes).run, 30),
        Job("partitions", 600.0, lambda _: keep_partitions(db, env), 550),
        Job("flush marks", 10.0, lambda _: settle_marks(db), 55),
        Job("ingest retention", 60.0, lambda _: old_intake.forget_old(db), 55),
        Job("delta retention", 10.0, live.forget_old_deltas, 60),
        Job("rollup retention", 300.0, live.forget_old_rollups, 120),
        Job("ledger retention", 600.0, lambda _: ledger_store.forget_old(db, shared_clock.now()), 120),
        Job("notification retention", notify.FORGET_EVERY_S, lambda _: notify.forget(db), 30),
        Job("picture retention", 600.0, lambda _: kept.forget(db), 60),
        Job("alert retention", 3600.0, lambda _: forget_alerts(db), 120),
        Job("auth retention", 600.0, lambda _: signin_store.forget_old(db), 30),
        Job("log retention", 60.0, lambda _: forget_logs(db, env), 55),
    ]


async def keep_partitions(db: Database, env: Environment) -> None:
    now = shared_clock.now()
    await ensure_all(db.of_outcomes, now, env)
    await drop_all(db.of_outcomes, now, env)
    if db.apart is not None:  # what was stored here before
        await drop_all(db, now, env)
    await index_request_ids(db.of_outcomes)


async def forget_alerts(db: Database) -> None:
    await old_alerts.forget_old(db)
    await old_signals.forget_old(db)
    async with db.act() as connection:
        await copy_store.forget_old(connection)


async def forget_logs(db: Database, env: Environment) -> None:
    await log_store.forget_old(db, env.log_retention_days, env.log_lines_kept)
