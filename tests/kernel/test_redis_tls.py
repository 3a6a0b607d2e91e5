"""rediss:// with a certificate that nobody has signed: the log says why and how, and how works."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ConfigurationError
from tests.waiting import until


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key."""
    pem = tmp_path / "self-signed.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", f"{pem}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem


async def over_tls(certificate: Path, redis_url: str) -> asyncio.Server:
    """Redis behind TLS, on a free port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    place = urlsplit(redis_url)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(place.hostname, place.port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)

    return await asyncio.start_server(pipe, "127.0.0.1", 0, ssl=context)


@pytest.mark.gen_test
async def test_a_self_signed_certificate_says_why_and_how(
    certificate: Path, database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await over_tls(certificate, redis_url)
    url = f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    db = Database(database_url)
    bus = Bus(db, url)
    bus.start()
    await until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text, "the reason")
    assert "?ssl_ca_certs=/path/ca.pem" in caplog.text
    assert "?ssl_cert_reqs=none" in caplog.text
    await bus.close()
    for how in (f"ssl_ca_certs={certificate}", "ssl_cert_reqs=none"):
        bus = Bus(db, f"{url}?{how}")
        bus.start()
        await until(lambda bus=bus: bus.redis_ok, f"Redis, by {how}")
        await bus.close()
    await db.close()
    server.close()


@pytest.mark.parametrize("url", ["http://h", "redis://h:port/0", "redis://h?foo=1", "rediss://h?ssl_cert_reqs=maybe"])
def test_a_redis_url_that_cannot_be_used_ends_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        Bus(Database("postgresql://nowhere/none"), url)
