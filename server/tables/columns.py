"""What every table shares: one metadata, and the types of times and packed pairs."""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, MetaData
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()

Time = DateTime(timezone=True)
Pairs = ARRAY(BigInteger)
