"""The ways to connect a service: what to copy, and the address that it leads to."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from msgspec import Struct

from server.ingest.first_outcome import first_outcome


class WayIn(Struct, frozen=True):
    """One way to connect. In `lines` {url}, {scheme}, {host} and {login} are this deployment's, $KEY is an API key."""

    name: str
    title: str
    needs: str
    path: str  # the API's address that it leads to; '': it needs none
    page: str  # of docs/connect/
    lines: str

    def filled(self, public_url: str) -> str:
        """What to copy at this deployment."""
        parts, text = urlsplit(public_url), self.lines
        for token, value in (
            ("{url}", public_url),
            ("{host}", parts.netloc),
            ("{scheme}", parts.scheme),
            ("{login}", f"{parts.scheme}://evenkeel:$KEY@{parts.netloc}"),
        ):
            text = text.replace(token, value)
        return text


INGEST = "a key with the scope ingest"
WAYS: tuple[WayIn, ...] = (
    WayIn("curl", "Anything that can POST", INGEST, "/api/v1/outcomes", "curl.md", first_outcome("{url}")),
    WayIn(
        "otlp",
        "OpenTelemetry",
        INGEST,
        "/v1/traces",
        "opentelemetry.md",
        "\n".join(
            (
                "OTEL_SERVICE_NAME=checkout",
                "OTEL_EXPORTER_OTLP_ENDPOINT={url}",
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
                'OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$KEY"',
            )
        ),
    ),
    WayIn(
        "logplex",
        "Heroku",
        INGEST,
        "/api/v1/drains/logplex",
        "heroku.md",
        'heroku drains:add "{login}/api/v1/drains/logplex" --app checkout',
    ),
    WayIn(
        "access-log",
        "nginx, Apache, HAProxy, Caddy",
        "no key, on the machine that serves",
        "",
        "access-logs.md",
        "python -m server import access.log --service checkout",
    ),
    WayIn(
        "alertmanager",
        "Alertmanager",
        INGEST,
        "/api/v1/hooks/alertmanager",
        "alertmanager.md",
        "\n".join(
            (
                "receivers:",
                "  - name: evenkeel",
                "    webhook_configs:",
                "      - url: {url}/api/v1/hooks/alertmanager",
                "        http_config:",
                "          authorization: {type: Bearer, credentials: $KEY}",
            )
        ),
    ),
    WayIn(
        "changes",
        "Changes from a pipeline",
        "a key with the scope act",
        "/api/v1/changes",
        "changes.md",
        "\n".join(
            (
                'curl {url}/api/v1/changes -H "Authorization: Bearer $KEY" \\',
                "  -H 'Content-Type: application/json' \\",
                """  -d '{"service":"checkout","kind":"deploy","version":"5f2c1a9"}'""",
            )
        ),
    ),
    WayIn(
        "hooks",
        "GitHub, GitLab, Standard Webhooks",
        "a hook, Setup has them",
        "/api/v1/hooks/github",
        "changes.md",
        "\n".join(
            (
                "{url}/api/v1/hooks/github",
                "{url}/api/v1/hooks/gitlab",
                "{url}/api/v1/hooks/change",
            )
        ),
    ),
    WayIn(
        "events",
        "CDEvents, PagerDuty change events",
        "a key with the scope act",
        "/v2/change/enqueue",
        "changes.md",
        "\n".join(
            (
                "{url}/api/v1/hooks/cdevents",
                "{url}/v2/change/enqueue    # instead of https://events.pagerduty.com/v2/change/enqueue",
            )
        ),
    ),
    WayIn(
        "prometheus",
        "Prometheus",
        "a key with the scope read",
        "/metrics",
        "prometheus.md",
        "\n".join(
            (
                "scrape_configs:",
                "  - job_name: evenkeel",
                "    scheme: {scheme}",
                "    authorization: {type: Bearer, credentials: $KEY}",
                "    static_configs: [{targets: ['{host}']}]",
            )
        ),
    ),
    WayIn(
        "mcp",
        "MCP",
        "a key with the scope read",
        "/mcp",
        "mcp.md",
        'claude mcp add --transport http evenkeel {url}/mcp --header "Authorization: Bearer $KEY"',
    ),
)


def ways(addresses: Collection[str]) -> list[WayIn]:
    """Those whose address there is."""
    return [way for way in WAYS if not way.path or way.path in addresses]
