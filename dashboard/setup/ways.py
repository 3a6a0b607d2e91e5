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
ACT = "a key with the scope act"
HOOK = "a hook: Setup, Hooks"
OTLP = (
    "OTEL_SERVICE_NAME=checkout",
    "OTEL_EXPORTER_OTLP_ENDPOINT={url}",
    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    'OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$KEY"',
)


def otlp_way(name: str, title: str, page: str, run: str = "") -> WayIn:
    """What an SDK reads in the environment, before the command that it runs in."""
    lines = " \\\n".join((*OTLP, run)) if run else "\n".join(OTLP)
    return WayIn(name, title, INGEST, "/v1/traces", page, lines)


WAYS: tuple[WayIn, ...] = (
    otlp_way("otlp", "OpenTelemetry", "opentelemetry.md"),
    otlp_way(
        "otlp-python", "OpenTelemetry in Python", "opentelemetry-python.md", "opentelemetry-instrument python app.py"
    ),
    otlp_way(
        "otlp-node",
        "OpenTelemetry in Node",
        "opentelemetry-node.md",
        "node --require @opentelemetry/auto-instrumentations-node/register app.js",
    ),
    otlp_way(
        "otlp-java",
        "OpenTelemetry in Java",
        "opentelemetry-java.md",
        "java -javaagent:opentelemetry-javaagent.jar -jar app.jar",
    ),
    otlp_way("otlp-go", "OpenTelemetry in Go", "opentelemetry-go.md", "./app"),
    WayIn("curl", "Anything that can POST", INGEST, "/api/v1/outcomes", "curl.md", first_outcome("{url}")),
    WayIn(
        "logplex",
        "Heroku",
        INGEST,
        "/api/v1/drains/logplex",
        "heroku.md",
        'heroku drains:add "{login}/api/v1/drains/logplex" --app checkout',
    ),
    WayIn(
        "syslog",
        "rsyslog, syslog-ng",
        INGEST,
        "/api/v1/drains/syslog",
        "syslog.md",
        "{login}/api/v1/drains/syslog",
    ),
    WayIn(
        "json-lines",
        "Vector, Dokku, Fluent Bit, Fluentd",
        INGEST,
        "/api/v1/drains/json",
        "logs.md",
        "\n".join(
            (
                "sinks:",
                "  evenkeel:",
                "    type: http",
                "    inputs: [docker]",
                "    uri: {url}/api/v1/drains/json",
                "    auth: {strategy: bearer, token: $KEY}",
                "    encoding: {codec: json}",
            )
        ),
    ),
    *(
        WayIn(
            f"access-log-{page}",
            title,
            INGEST,
            "",
            f"{page}.md",
            f"EVENKEEL_API_KEY=$KEY python -m server import {log} --service checkout --url {{url}} --follow",
        )
        for page, title, log in (
            ("nginx", "nginx", "/var/log/nginx/access.log"),
            ("apache", "Apache", "/var/log/apache2/access.log"),
            ("haproxy", "HAProxy", "/var/log/haproxy.log"),
            ("caddy", "Caddy", "/var/log/caddy/access.log"),
            ("access-logs", "Any other access log", "FILE"),
        )
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
        ACT,
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
    WayIn("github", "GitHub", HOOK, "/api/v1/hooks/github", "changes.md", "{url}/api/v1/hooks/github"),
    WayIn("gitlab", "GitLab", HOOK, "/api/v1/hooks/gitlab", "changes.md", "{url}/api/v1/hooks/gitlab"),
    WayIn("webhook", "Standard Webhooks", HOOK, "/api/v1/hooks/change", "changes.md", "{url}/api/v1/hooks/change"),
    WayIn(
        "flags",
        "Flags",
        ACT,
        "/api/v1/hooks/flags",
        "changes.md",
        "\n".join(
            (
                'curl "{url}/api/v1/hooks/flags?service=checkout" -H "Authorization: Bearer $KEY" \\',
                "  -H 'Content-Type: application/json' --data-binary @flags.json",
            )
        ),
    ),
    WayIn("cdevents", "CDEvents", ACT, "/api/v1/hooks/cdevents", "changes.md", "{url}/api/v1/hooks/cdevents"),
    WayIn("pagerduty", "PagerDuty change events", ACT, "/v2/change/enqueue", "changes.md", "{url}/v2/change/enqueue"),
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
