"""Messages that were consumed: which spans of kind CONSUMER stand for one that was handled here.

A consumer that asks for messages has a span of the asking too, with or without an answer, and one of each message
beside it. By `receive` alone it cannot be told: so RabbitMQ's are called that are of the handling of a message.
Lambda's has the invocation around it, a SERVER span, which fails with it.
"""

from __future__ import annotations

from server.receivers.otlp.attributes import attributes_of, text
from server.receivers.otlp.layers import REMOTE, SAYS_WHERE
from server.receivers.otlp.routes import LAMBDA, PYTHON
from server.receivers.otlp.wire import Message

CONFLUENT = f"{PYTHON}confluent_kafka"
ASKED = frozenset({"aws_sqs", "aws.sqs", "AmazonSQS", "aws-sqs"})  # systems that only give messages to who asks


def stands_for_none(span: Message, scope: str) -> bool:
    """Whether a consumer's span is of asking for messages, or of one that another span stands for."""
    if scope == CONFLUENT and not span.attributes:
        return True
    if scope == LAMBDA:
        return bool(span.parent_span_id) and (span.flags or 0) & (SAYS_WHERE | REMOTE) == SAYS_WHERE
    attributes = attributes_of(span)
    if text(attributes, "messaging.operation.type", "messaging.operation") != "receive":
        return False
    return "messaging.batch.message_count" in attributes or text(attributes, "messaging.system") in ASKED
