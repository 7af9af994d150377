"""docs/differences.md says what docs/differences.json has; a sample of how that is found."""

from __future__ import annotations

import json

from tests import differential
from tests.target.sim.seeds import Conversation
from tools import differences


def test_the_table_is_of_what_was_recorded() -> None:
    page = differences.PAGE.read_text(encoding="utf-8")
    assert differences.with_table(page) == page


def test_each_recorded_difference_has_a_reason() -> None:
    rows = json.loads(differences.RECORD.read_text(encoding="utf-8"))
    assert {row["outcome"] for row in rows} <= {"same", "differs", "only sim", "not built"}
    assert all(row.get("reason") for row in rows if row["outcome"] in ("differs", "only sim"))


def test_what_only_sim_can_be_asked_is_left_out() -> None:
    load = {"id": 1, "command": "load", "driver": "d"}
    assert differential.not_for_wine(Conversation([load])) == ""
    snapshot = {"id": 2, "command": "snapshot"}
    assert differential.not_for_wine(Conversation([load, snapshot])) == "asks for `snapshot`"
