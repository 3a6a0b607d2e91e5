"""The backtest in a browser: a policy is pasted or chosen as a file, also without JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.alerts.past import ASKED, fill
from tests.dashboard.conftest import WIDER, OpenPage, Served

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_policy_is_pasted_then_a_file_is_chosen(
    served: Served, visit: OpenPage, tmp_path: Path, scripts: bool
) -> None:
    if scripts:
        fill(served.database_url)
    page = visit("/objectives/backtest", width=390, java_script_enabled=scripts, quiet=False)  # 422 is told
    page.get_by_label("Policy, as in").fill(ASKED)
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#result-title")).to_contain_text("1 alert of 1 objective in 28 days: 1 page, 0 tickets")
    expect(page.locator("tbody th .name")).to_have_text(["renamed"])
    expect(page.get_by_label("Policy, as in")).to_have_value(ASKED)
    if scripts:
        assert page.evaluate(WIDER) == []

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(ASKED.replace("0.999", "1.5"))
    page.get_by_label("or a file").set_input_files(str(wrong))
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("spec.objectives[0].target: is 1.5")
    expect(page.get_by_label("Policy, as in")).to_have_value(wrong.read_text())
