"""Acts that ask for the password once more, where it was not given in this session a moment ago."""

from __future__ import annotations

from abc import ABC

from msgspec import Struct

from dashboard.shared.act import ActPage
from server.kernel import shared_clock
from server.kernel.errors import ApiError

PROVED_S = 600.0  # for so long the password is not asked for again
PASSWORD_FIELD = "confirm_password"  # noqa: S105 - its name


class ConfirmView(Struct):
    """The form that was sent, to be sent again with the password."""

    action: str
    back: str
    email: str
    fields: list[tuple[str, str]]
    fault: str = ""


class ProvenAct(ActPage, ABC):
    """An act on keys, people, targets or one's own account."""

    async def post(self) -> None:
        if await self.proven():
            await super().post()

    async def proven(self) -> bool:
        """Whether who is signed in gave the password a moment ago, or just now; else it is asked for. Keys prove
        themselves with each request."""
        assert self.identity is not None
        if self.identity.kind != "person" or shared_clock.now() - self.identity.proved_at <= PROVED_S:
            return True
        password, fault = self.get_body_argument(PASSWORD_FIELD, "", strip=False), ""
        if password:
            fault = await self.prove(password)
            if not fault:
                return True
        self.ask_for_password(fault)
        return False

    async def prove(self, password: str) -> str:
        """Why the password proves nothing; empty: it does."""
        assert self.identity is not None
        try:
            await self.parts.auth.prove(self.identity, password, self.request.remote_ip or "", self.request_id)
        except ApiError as error:
            if error.code == "UNAUTHENTICATED":
                return "The password is wrong."
            if error.code == "TOO_MANY_ATTEMPTS":
                return error.detail
            raise
        return ""

    def ask_for_password(self, fault: str) -> None:
        assert self.identity is not None
        kept = set(self.request.body_arguments) - {"_xsrf", PASSWORD_FIELD}
        fields = [(name, one) for name in sorted(kept) for one in self.get_body_arguments(name, strip=False)]
        view = ConfirmView(self.request.path, self.back, self.identity.name, fields, fault)
        self.set_status(401)
        self.show("setup/confirm.html", view, title="Your password · Evenkeel", page="setup")
