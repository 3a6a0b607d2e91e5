"""What several tests of sending use."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that nobody has signed."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    options = f"-keyout {key} -out {cert} -days 2 -subj /CN=box -addext subjectAltName=IP:127.0.0.1"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    subprocess.run(f"openssl req -x509 {kind} {options}".split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
