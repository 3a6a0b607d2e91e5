"""Patterns: what Python's own engine says of a whole text, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from server.alerts.pattern import Characters, Pattern
from tests.examples import examples

ATOMS = some.sampled_from(["a", "b", "-", ".", "[ab]", "[^a]", "[a-c-]", r"\d", r"\.", r"\W", "^a$"[1:2], r"[\d_]"])


def grown(inner: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    return some.one_of(
        some.lists(inner, max_size=4).map("".join),
        some.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        some.tuples(inner, some.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    )


@settings(max_examples=examples(400), deadline=None)
@given(some.recursive(ATOMS, grown, max_leaves=8), some.text("abc-._1", max_size=6))
def test_it_says_what_pythons_engine_says_of_a_whole_text(pattern: str, text: str) -> None:
    if len(pattern) <= 60 and pattern.count("2}") <= 3:  # more may be too many characters
        assert Pattern(pattern).matches(text) is (re.fullmatch(pattern, text, re.ASCII) is not None), pattern


def test_anchors_at_both_ends_are_taken_and_a_pattern_is_the_whole_text() -> None:
    assert Pattern("^check.*$").matches("checkout")
    assert not Pattern("check").matches("checkout")
    assert Pattern(r"a\$").matches("a$")


def test_no_pattern_takes_for_ever() -> None:
    for evil in ("(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)b", "((a{0,5}){0,5}){0,5}"):
        assert not Pattern(evil).matches("a" * 200 + "c")


def test_many_names_cost_one_look_at_each_of_their_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name each second holds the watch's loop else for as many looks as the pattern has states."""
    looks, take = list[int](), Characters.take
    monkeypatch.setattr(Characters, "take", lambda one, point: looks.append(point) or take(one, point))
    found = Pattern(".{0,190}x")
    assert not any(found.matches(f"service-{n}") for n in range(600))
    assert found.matches("service-x")
    assert len(looks) == 2 * len(set("service-0123456789x")), "`.` and `x`, once for each character"
    assert found.after.cache_info().misses <= 20, "sets of states come again"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("(", "a ( without its )"),
        ("a)", "a ) without its ("),
        ("[a", "a [ without its ]"),
        ("*", "a * with nothing before it"),
        ("a**", "repeats a repetition"),
        ("(?i)a", "other than (?:"),
        ("(?=a)", "other than (?:"),
        (r"(a)\1", "which is not known"),
        ("[z-a]", "end is before its beginning"),
        ("a{3,1}", "counts from 3 down to 1"),
        ("a{x}", "counts nothing"),
        ("a^b", "anchored already"),
        (".{0,900}x", "more than 200"),
        ("((a{100}){100}){100}", "more than 200"),
        ("((((){999}){999}){999}){999}", "more than 200"),
        ("(" * 100 + ")" * 100, "20 groups"),
        ("a" * 201, "longer than 200"),
    ],
)
def test_what_is_wrong_with_one_is_said(wrong: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Pattern(wrong)
