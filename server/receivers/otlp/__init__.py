"""OTLP, the wire format of OpenTelemetry, in protobuf or JSON. See docs/connect/opentelemetry.md."""
