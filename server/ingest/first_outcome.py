"""The first outcome, as a command to paste: the same in README, on a terminal and on the pages."""

from __future__ import annotations


def first_outcome(url: str, key: str = "$KEY") -> str:
    """The command for a service at `url`; `key` is an API key, or the variable that has it."""
    return "\n".join(
        (
            f'curl {url}/api/v1/outcomes -H "Authorization: Bearer {key}" \\',
            "  -H 'Content-Type: application/json' \\",
            """  -d '[{"service":"checkout","route":"/pay","method":"POST","status":200,"duration_ms":12}]'""",
        )
    )
