"""What is kept of an outcome beside its columns, in `outcomes.detail`: each field as it was sent, if it was.

`weight` is there too, where it is not 1: how many requests the outcome stands for. A trace id that is the request id
too, as of most spans, is not written twice: a third of such a row.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

Word = TypeVar("Word")


class Detail(Struct, Generic[Word], kw_only=True):
    """`Word` is a text, as bounded as it is where it comes from."""

    error_class: Word | None = None
    dependency: Word | None = None
    client: Word | None = None
    instance: Word | None = None
    trace_id: Word | None = None


FIELDS = Detail.__struct_fields__
SAME = "="  # for a trace id: the request id
WEIGHT = "coalesce((o.detail ->> 'weight')::bigint, 1)"  # in SQL, of a row `o` of outcomes
