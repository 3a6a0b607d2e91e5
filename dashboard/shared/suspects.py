"""Suspects of an alert, as a table: what explains the failures, with the counts that say so."""

from __future__ import annotations

from dashboard.shared.memo import Memos
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion, suspects_of
from server.kernel import shared_clock
from server.parts import Parts


async def read(parts: Parts, asked: SuspectsQuestion) -> SuspectsAnswer:
    return await suspects_of(parts.db, asked, shared_clock.now())


SUSPECTS = Memos(read, kept_s=10)
