"""The stock as a table."""

from __future__ import annotations

from tests.cli.shop import Shop


def test_a_count_stands_in_the_table_at_the_time_that_the_clock_at_the_site_showed(demo_url: str) -> None:
    shop = Shop(demo_url)
    shop.done("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05T09:30")
    assert "2026-01-05 09:30" in shop.run("report", "stock").out
    assert "2026-01-05 09:30" in shop.run("stock", "show", "N01-NORTE-C01").out
