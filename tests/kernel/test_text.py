"""Text as it is read: what Markdown could take for markup is escaped, and nothing else."""

from __future__ import annotations

from server.kernel.text import plain


def test_a_colon_is_escaped_where_it_is_markup() -> None:
    assert plain("at 03:04:40 UTC: rolled back") == "at 03:04:40 UTC: rolled back"
    assert plain("see https://x.example/a") == "see https\\://x.example/a"
    assert plain(":tada: 12:100: :+1:") == "\\:tada: 12\\:100: \\:\\+1:"
