"""Rules of single tables, beside those of the kinds of their columns."""

from __future__ import annotations

from crmkit.ingest.rules import Rule

__all__: list[str] = []

PRODUCT_RULES = (
    Rule(
        "brand_type is neither national nor store",
        "brand_type is not null and brand_type not in ('national', 'store')",
        "Write national for a manufacturer's brand and store for your own.",
    ),
)

PRICE_RULES = (Rule("price is not above 0", "price <= 0", "State the price of one piece, as it is on the shelf."),)

STOCK_RULES = (
    Rule("lead_time is below 0", "lead_time < 0", "State the days from order to delivery."),
    Rule("stock is below 0", "stock < 0", "Correct the count, or deliver 0."),
    Rule("on_order is below 0", "on_order < 0", "State the pieces that are ordered and have not come."),
    Rule("pack_size is not above 0", "pack_size <= 0", "State how many pieces a pack holds; 1 for single ones."),
    Rule("min_order is below 0", "min_order < 0", "State the least order in pieces."),
    Rule("unit_cost is below 0", "unit_cost < 0", "State what a piece costs to buy."),
    Rule(
        "shelf_life is not above 0",
        "shelf_life <= 0",
        "State the days for which it can be sold; leave it empty where it keeps.",
    ),
    Rule("vat_rate is not between 0 and 1", "vat_rate < 0 or vat_rate > 1", "State it as a share: 0.19."),
)

RATE_RULES = (
    Rule(
        "rate is not a number above 0",
        "try_cast(rate as double) is null or not try_cast(rate as double) > 0",
        "Write what one of the currency is worth in that of the log, as in 0.0067.",
    ),
)

SERVICE_RULES = (
    Rule(
        "kind is neither complaint, survey nor recovery",
        "kind not in ('complaint', 'survey', 'recovery')",
        "Write one of the three words.",
    ),
    Rule("score is not between 0 and 10", "score < 0 or score > 10", "Rescale the answers to 0 to 10."),
    Rule("resolved_at is before recorded_at", "resolved_at < recorded_at"),
    Rule(
        "due is before recorded_at", "due < cast(recorded_at as date)", "State the day by which it is to be resolved."
    ),
    Rule("handling is not between 0 and 10", "handling < 0 or handling > 10", "Rescale the answers to 0 to 10."),
    Rule("expected is not between 0 and 10", "expected < 0 or expected > 10", "Rescale the answers to 0 to 10."),
)

REDEMPTION_RULES = (
    Rule("amount is below 0", "amount < 0", "Write the money that the coupon took off as a positive amount."),
)

COST_RULES = (
    Rule("amount is below 0", "amount < 0", "Write costs as positive amounts."),
    Rule("ends is before starts", "ends < starts"),
    Rule(
        "allocated_by is neither orders, lines nor visits",
        "allocated_by is not null and allocated_by not in ('orders', 'lines', 'visits')",
        "Write one of the three words, or nothing for a cost of one customer.",
    ),
)

DEAL_RULES = (
    Rule(
        "kind is neither amount, percent, points, bundle, early notice nor perk",
        "kind not in ('amount', 'percent', 'points', 'bundle', 'early notice', 'perk')",
        "Write one of the six words.",
    ),
    Rule(
        "kind is bundle and bundle_with is missing",
        "kind = 'bundle' and bundle_with is null",
        "Name what must be bought with it under bundle_with.",
    ),
    Rule(
        "value is not above 0",
        "value < 0 or (value = 0 and coalesce(kind, 'amount') not in ('early notice', 'perk'))",
        "State what the member gets.",
    ),
    Rule("value is above 100 percent", "kind = 'percent' and value > 100"),
    Rule(
        "value_light is not between 0 and value_medium",
        "value_light < 0 or value_light > coalesce(value_medium, value)",
        "The heavier the use, the larger the value.",
    ),
    Rule("value_medium is below 0", "value_medium < 0"),
    Rule(
        "value_heavy is below value_medium",
        "value_heavy < 0 or value_heavy < coalesce(value_medium, value)",
        "The heavier the use, the larger the value.",
    ),
    Rule("value_heavy is above 100 percent", "kind = 'percent' and value_heavy > 100"),
    Rule("budget is below 0", "budget < 0"),
    Rule("price is not above 0", "price <= 0"),
    Rule(
        "price is below the money off",
        "coalesce(kind, 'amount') = 'amount' and price < coalesce(value_heavy, value_medium, value)",
    ),
    Rule("margin is not between 0 and 1", "margin < 0 or margin > 1", "Write 30 % as 0.30."),
    Rule("response is not above 0", "response <= 0", "It is an odds ratio: 1.25, say."),
    Rule(
        "limit_per_member is not a whole number above 0",
        "limit_per_member < 1 or limit_per_member <> floor(limit_per_member)",
    ),
    Rule("funder_share is not between 0 and 1", "funder_share < 0 or funder_share > 1", "Write 30 % as 0.30."),
    Rule(
        "brand_type is neither national nor store",
        "brand_type not in ('national', 'store')",
        "Write national for a manufacturer's brand and store for your own.",
    ),
    Rule(
        "brand_group is neither national, store nor switcher",
        "brand_group not in ('national', 'store', 'switcher')",
        "Write one of the three words.",
    ),
    Rule("ends is before starts", "ends < starts"),
)

CARD_RULES = (
    Rule(
        "since is a placeholder date",
        "since < date '1980-01-01' or since >= date '9999-01-01'",
        "Deliver the true day.",
    ),
)

MERGE_RULES = (
    Rule("member is merged into itself", "member = merged_into", "Name the member who stays under merged_into."),
    Rule("undone_on is before merged_on", "undone_on < merged_on"),
)

POINTS_RULES = (
    Rule(
        "kind is neither earned, bonus, adjusted, returned, redeemed nor expired",
        "kind not in ('earned', 'bonus', 'adjusted', 'returned', 'redeemed', 'expired')",
        "Write one of the six words.",
    ),
    Rule(
        "points is below 0",
        "points < 0 and kind <> 'adjusted'",
        "Write points as a positive number: the kind says whether they come or go. Only what is adjusted may be below 0.",
    ),
    Rule("points is not a whole number", "points <> floor(points)", "Points have no fractions."),
    Rule("balance is below 0", "balance < 0", "A card holds 0 points or more."),
)

VISIT_RULES = (
    Rule("met is neither 1 nor 0", "met not in (0, 1)", "Write 1 where the customer was met, 0 where not."),
    Rule("minutes is below 0", "minutes < 0"),
    Rule("sold is below 0", "sold < 0", "Write what was ordered at the visit; returns are in the sales."),
)

PREMISES_RULES = (
    Rule(
        "latitude is beyond 90 degrees",
        "abs(latitude) > 90",
        "Write degrees, as in 52.52; latitude and longitude may be swapped.",
    ),
    Rule("longitude is beyond 180 degrees", "abs(longitude) > 180", "Write degrees, as in 13.40."),
    Rule(
        "latitude is stated without longitude, or longitude without latitude",
        "(latitude is null) <> (longitude is null)",
        "State both, or neither.",
    ),
    Rule("opens is not an hour of the day", "opens < 0 or opens > 24", "Write hours, as in 9.5 for half past nine."),
    Rule("closes is not after opens", "closes > 24 or closes <= coalesce(opens, 0)", "Write hours, as in 18."),
)

STAFF_RULES = (
    Rule("latitude is beyond 90 degrees", "abs(latitude) > 90", "Write degrees, as in 52.52."),
    Rule("longitude is beyond 180 degrees", "abs(longitude) > 180", "Write degrees, as in 13.40."),
    Rule("minutes is not between 1 and 1440", "minutes < 1 or minutes > 1440", "Write the minutes of a working day."),
    Rule("visits is below 1", "visits < 1", "Write how many visits a day may have at most."),
)
