"""Every kind of deploy target: each file of this folder that holds one has it as ADAPTER."""

from __future__ import annotations

from typing import Literal

from server.changes.adapters import heroku, webhook
from server.changes.adapters.adapter import Adapter

ADAPTERS: dict[str, Adapter] = {one.name: one for one in (heroku.ADAPTER, webhook.ADAPTER)}
AdapterName = Literal["heroku", "webhook"]
