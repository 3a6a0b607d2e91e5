"""Your account: the password, and the codes that signing in takes besides it."""

from __future__ import annotations

import segno
from markupsafe import Markup
from msgspec import Struct

from dashboard.shared.act import ActPage
from dashboard.shared.page import Page
from dashboard.shared.proven import ProvenAct
from server.auth import people_store, second_step
from server.auth.identity import Identity
from server.auth.passwords import SHORTEST
from server.auth.people import change_own_password
from server.auth.second_step import Started
from server.http.operation import Scope
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid


class AccountView(Struct):
    """`codes`: whether signing in takes one; `left`: recovery codes that have not been used."""

    codes: bool
    left: int
    shortest: int = SHORTEST


class StartedView(Struct):
    """The secret of an authenticator, to be scanned or typed."""

    started: Started
    qr: Markup
    fault: str = ""


class RecoveryView(Struct):
    """Recovery codes, shown once."""

    codes: list[str]


def me(page: Page) -> Identity:
    """Who is signed in. ApiError FORBIDDEN for a key, which has no account."""
    if page.identity is None or page.identity.kind != "person":
        raise ApiError("FORBIDDEN", "A key has no account. Nothing was done.")
    return page.identity


class AccountPage(Page):
    """GET /account."""

    async def get(self) -> None:
        person = me(self)
        async with self.parts.db.act() as connection:
            row = await people_store.row_by_id(connection, person.id)
            left = await people_store.recovery_codes_left(connection, person.id)
        view = AccountView(row is not None and row.totp_secret is not None, left)
        self.show("account/account.html", view, title="Your account · Evenkeel", page="account")


class OwnAct(ProvenAct):
    """What the acts on one's own account share; everybody who may look has one."""

    acts: Scope | None = "read"
    back = "/account"


class PasswordChange(ActPage):
    """POST /account/password: takes the old one."""

    acts: Scope | None = "read"
    back = "/account"
    refusals = ("INVALID", "TOO_MANY_ATTEMPTS")

    async def act(self) -> str:
        person, auth = me(self), self.parts.auth
        old, new = (self.get_body_argument(name, "", strip=False) for name in ("old", "password"))
        try:
            await auth.prove(person, old, self.request.remote_ip or "", self.request_id)
        except ApiError as error:
            if error.code != "UNAUTHENTICATED":
                raise
            raise invalid("old", "is not your password") from None
        hashed = await auth.passwords.hash(new, person.name, self.parts.env.public_url)
        async with self.parts.db.act() as connection:
            ended = await change_own_password(connection, person, hashed, request_id=self.request_id)
        await auth.sessions.fresh.quietly()
        others = f" {ended} other {'session has' if ended == 1 else 'sessions have'} ended." if ended else ""
        return f"Your password is changed.{others}"


class CodesStart(OwnAct):
    """POST /account/codes: shows a new secret; nothing is stored until its first code comes."""

    async def act(self) -> None:
        show_started(self, second_step.start(self.parts.env.secret_key, me(self)))


class CodesConfirm(OwnAct):
    """POST /account/codes/confirm: the first code; the answer shows recovery codes, this once."""

    async def act(self) -> None:
        person, key = me(self), self.parts.env.secret_key
        begun = second_step.started(key, person, self.get_body_argument("sealed", ""))
        code, now = self.get_body_argument("code", ""), shared_clock.now()
        try:
            async with self.parts.db.act() as connection:
                codes = await second_step.turn_on(connection, key, person, begun, code, now, self.request_id)
        except ApiError as error:
            if error.code != "INVALID":
                raise
            self.set_status(error.status)
            show_started(self, begun, error.detail)
            return
        show_recovery(self, codes)


class CodesAgain(OwnAct):
    """POST /account/codes/recovery: new recovery codes in place of all before."""

    async def act(self) -> None:
        person = me(self)
        async with self.parts.db.act() as connection:
            codes = await second_step.new_recovery_codes(connection, person.id)
        show_recovery(self, codes)


class CodesOff(OwnAct):
    """POST /account/codes/off."""

    async def act(self) -> str:
        person, by = me(self), self.request_id
        async with self.parts.db.act() as connection:
            await second_step.turn_off(connection, person.id, person.name, actor=person.actor, request_id=by)
        return "Signing in takes the password alone now."


def show_started(page: Page, started: Started, fault: str = "") -> None:
    """Answer with the secret as a QR code and as text."""
    drawn = segno.make(started.address, error="m").svg_inline(scale=4, dark="#000", light="#fff")
    view = StartedView(started, Markup(drawn), fault)  # noqa: S704 - drawn from an address that is quoted
    page.show("account/codes.html", view, title="Codes · Evenkeel", page="account")


def show_recovery(page: Page, codes: list[str]) -> None:
    page.show("account/recovery.html", RecoveryView(codes), title="Recovery codes · Evenkeel", page="account")
