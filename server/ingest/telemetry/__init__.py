"""Takes what exporters and drains send: one handler, one way into intake."""
