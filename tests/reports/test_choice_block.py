"""The block that says which model values the customers."""

from crmkit.evaluation.selection import choose_model, default_candidates
from crmkit.reports.blocks.backtests import choice
from crmkit.testing import generated_log


def test_a_rule_that_was_nearer_is_named_beside_the_model_used() -> None:
    candidates = default_candidates()
    found = choose_model(
        generated_log(n_customers=300), {name: candidates[name] for name in ("own rate", "BG/NBD")}, 60
    )
    own = choice(found, found.name)
    other = next(name for name in found.table.index if name != found.name)
    assert own.title == f"{found.name} values the customers"
    assert found.name in choice(found, other).title
    assert other in choice(found, other).title
    assert set(own.table.frame["candidate"]) == {"own rate", "BG/NBD"}
