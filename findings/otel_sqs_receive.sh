#!/usr/bin/env bash
# How many CONSUMER spans a worker has that asks SQS for messages.
#
# Guess: one of each message that it handles; asking for messages is a call to another service, a CLIENT span, as the
# conventions say of `receive`.
# What happens (opentelemetry-instrumentation-boto3sqs 0.66b1): each call of receive_message is a CONSUMER span too, for
# as long as it waits (up to 20 s with long polling), also where no message came; beside it one of each message.
# Why it matters: whoever counts CONSUMER spans as work counts an idle worker's questions as successes, and a message
# twice: a failure ratio that goes down when there is nothing to do. Evenkeel counts those of messages alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  opentelemetry-sdk==1.45.1 opentelemetry-instrumentation-boto3sqs==0.66b1 boto3==1.44.8 2>/dev/null
"$work/venv/bin/python" - 2>/dev/null <<'PY'
from importlib.metadata import version

import boto3
from botocore.stub import ANY, Stubber
from opentelemetry import trace
from opentelemetry.instrumentation.boto3sqs import Boto3SQSInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

print("boto3", version("boto3"), "boto3sqs", version("opentelemetry-instrumentation-boto3sqs"))
memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
Boto3SQSInstrumentor().instrument()

queue = "https://sqs.example/1/orders"
sqs = boto3.client("sqs", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
asked = {"QueueUrl": queue, "MessageAttributeNames": ANY}
one = {"Messages": [{"MessageId": "m1", "ReceiptHandle": "r1", "Body": "x"}]}
with Stubber(sqs) as stub:
    for answer in ({}, {}, one):
        stub.add_response("receive_message", answer, asked)
    stub.add_response("delete_message", {}, {"QueueUrl": queue, "ReceiptHandle": "r1"})
    for _ in range(3):
        for message in sqs.receive_message(QueueUrl=queue).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
found = sorted((span.name, span.kind.name, span.attributes["messaging.operation"]) for span in memory.get_finished_spans())
for span in found:
    print(span)
receive, process = ("orders receive", "CONSUMER", "receive"), ("orders process", "CONSUMER", "process")
assert found == [process, receive, receive, receive], found
PY
