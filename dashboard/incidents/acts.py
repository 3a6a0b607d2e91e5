"""Acts in an incident from its room: a form's fields are those of the act of its name."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from dashboard.incidents.room import RECORDS
from dashboard.shared.act import ActPage, whole
from server.http.handler import field_error
from server.incidents.act import IncidentAct, Press
from server.incidents.acting import act
from server.incidents.acts import AnyAct
from server.incidents.regroup import merge
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import number_in

BESIDE = ("_xsrf", "key")
MINUTE_S = 60


class IncidentForm(ActPage):
    """What the acts share: the incident, who presses, and the way back to its room."""

    @property
    def number(self) -> int:
        """The incident; ApiError NOT_FOUND for what is none."""
        number = number_in(self.path_kwargs["id"])
        if number is None:
            raise ApiError("NOT_FOUND", "There is no such incident. Nothing was done.")
        return number

    @property
    def back(self) -> str:
        return f"/incidents/{self.number}"

    @property
    def press(self) -> Press:
        """Who acts, and the key of the form: that of its rendering with what was entered, so that another entry in a
        form that one went back to is another act."""
        assert self.identity is not None
        given = self.get_body_argument("key", "")
        entered = sorted((name, values) for name, values in self.request.body_arguments.items() if name != "_xsrf")
        key = sha256(repr(entered).encode()).hexdigest() if given else None
        return Press(self.identity.actor, self.request_id, key)

    async def post(self, id: str) -> None:  # type: ignore[override]
        await super().post()


class RoomAct(IncidentForm):
    """POST /incidents/{id}/act."""

    async def act(self) -> str:
        fields: dict[str, Any] = {
            name: self.get_body_argument(name) for name in self.request.body_arguments if name not in BESIDE
        }
        moments(fields)
        try:
            asked: IncidentAct = msgspec.convert(fields, AnyAct, strict=False)
        except msgspec.ValidationError as error:
            raise field_error(error, AnyAct) from None
        done = await act(self.parts, self.number, asked, self.press)
        RECORDS.forget(self.number)
        return done.message


class MergeAct(IncidentForm):
    """POST /incidents/{id}/merge."""

    async def act(self) -> str:
        done = await merge(self.parts, self.number, whole(self, "into"), self.press)
        return done.message


def moments(fields: dict[str, Any]) -> None:
    """What a form says of a time, in UTC: a day, or a time of it; ApiError INVALID."""
    for name, form in (("at", "%Y-%m-%dT%H:%M:%S"), ("due_at", "%Y-%m-%d")):
        text = fields.get(name)
        if text is None:
            continue
        if form.endswith("S") and text.count(":") == 1:
            text += ":00"
        try:
            fields[name] = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            raise invalid(name, "give a date" if name == "due_at" else "give a date and a time") from None
