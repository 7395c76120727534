"""The tables that crmkit takes: sales, products, members, service records, costs, tips and deals."""

from __future__ import annotations

from crmkit.ingest.contracts import Contract

__all__ = ["COSTS", "DEALS", "MEMBERS", "PRODUCTS", "SALES", "SERVICE", "TIPS"]

SALES = Contract(
    name="transactions",
    columns={
        "customer_id": "id",
        "purchased_at": "time",
        "amount": "money",
        "order_id": "id",
        "line_id": "id",
        "returned_order_id": "id",
        "store": "id",
        "product_id": "id",
        "quantity": "number",
        "unit_price": "money",
        "discount": "money",
        "category": "text",
        "brand": "text",
        "brand_type": "text",
        "manufacturer": "text",
        "department": "text",
    },
    required=("customer_id", "purchased_at", "amount"),
    products={"amount": ("quantity", "unit_price")},
    nobody={
        "customer_id is missing": "raw_customer_id is null",
        "customer_id is all nines": "length(raw_customer_id) >= 8 and replace(raw_customer_id, '9', '') = ''",
    },
)

PRODUCTS = Contract(
    name="products",
    columns={
        "product_id": "id",
        "name": "text",
        "category": "text",
        "brand": "text",
        "brand_type": "text",
        "manufacturer": "text",
        "department": "text",
    },
    required=("product_id",),
    rules={
        "brand_type is neither national nor store": "brand_type is not null and brand_type not in ('national', 'store')"
    },
)

MEMBERS = Contract(
    name="members",
    columns={
        "customer_id": "id",
        "joined": "date",
        "no_contact": "text",
        "gender": "text",
        "birth_year": "number",
        "age_group": "text",
    },
    required=("customer_id",),
)

SERVICE = Contract(
    name="service records",
    columns={
        "record_id": "id",
        "customer_id": "id",
        "recorded_at": "time",
        "kind": "text",
        "topic": "text",
        "score": "number",
        "resolved_at": "time",
    },
    required=("record_id", "customer_id", "recorded_at", "kind"),
    rules={
        "kind is neither complaint, survey nor recovery": "kind not in ('complaint', 'survey', 'recovery')",
        "score is not between 0 and 10": "score < 0 or score > 10",
        "resolved_at is before recorded_at": "resolved_at < recorded_at",
    },
)

COSTS = Contract(
    name="costs",
    columns={
        "cost_id": "id",
        "customer_id": "id",
        "kind": "text",
        "amount": "money",
        "starts": "date",
        "ends": "date",
        "allocated_by": "text",
    },
    required=("cost_id", "kind", "amount", "starts", "ends"),
    rules={
        "amount is below 0": "amount < 0",
        "ends is before starts": "ends < starts",
        "allocated_by is neither orders, lines nor visits": (
            "allocated_by is not null and allocated_by not in ('orders', 'lines', 'visits')"
        ),
    },
)

TIPS = Contract(
    name="tips",
    columns={"tip_id": "id", "category": "text", "title": "text"},
    required=("tip_id", "category", "title"),
)

DEALS = Contract(
    name="deals",
    columns={
        "deal_id": "id",
        "title": "text",
        "category": "text",
        "brand": "text",
        "product_id": "id",
        "brand_type": "text",
        "brand_group": "text",
        "funder": "text",
        "funder_share": "number",
        "kind": "text",
        "value": "money",
        "value_light": "money",
        "value_medium": "money",
        "value_heavy": "money",
        "bundle_with": "text",
        "price": "money",
        "margin": "number",
        "response": "number",
        "budget": "money",
        "limit_per_member": "number",
        "conflicts": "text",
        "starts": "date",
        "ends": "date",
        "barcode": "id",
        "barcode_type": "text",
    },
    required=("deal_id", "title", "category", "funder", "value", "budget", "starts", "ends"),
    rules={
        "kind is neither amount, percent, points, bundle nor early notice": (
            "kind not in ('amount', 'percent', 'points', 'bundle', 'early notice')"
        ),
        "kind is bundle and bundle_with is missing": "kind = 'bundle' and bundle_with is null",
        "value is not above 0": "value < 0 or (value = 0 and coalesce(kind, 'amount') <> 'early notice')",
        "value is above 100 percent": "kind = 'percent' and value > 100",
        "value_light is not between 0 and value_medium": "value_light < 0 or value_light > coalesce(value_medium, value)",
        "value_medium is below 0": "value_medium < 0",
        "value_heavy is below value_medium": "value_heavy < 0 or value_heavy < coalesce(value_medium, value)",
        "value_heavy is above 100 percent": "kind = 'percent' and value_heavy > 100",
        "budget is below 0": "budget < 0",
        "price is not above 0": "price <= 0",
        "price is below the money off": (
            "coalesce(kind, 'amount') = 'amount' and price < coalesce(value_heavy, value_medium, value)"
        ),
        "margin is not between 0 and 1": "margin < 0 or margin > 1",
        "response is not above 0": "response <= 0",
        "limit_per_member is not a whole number above 0": "limit_per_member < 1 or limit_per_member <> floor(limit_per_member)",
        "funder_share is not between 0 and 1": "funder_share < 0 or funder_share > 1",
        "brand_type is neither national nor store": "brand_type not in ('national', 'store')",
        "brand_group is neither national, store nor switcher": "brand_group not in ('national', 'store', 'switcher')",
        "ends is before starts": "ends < starts",
    },
)


CONTRACTS = {"transactions": SALES, "products": PRODUCTS, "members": MEMBERS, "deals": DEALS, "tips": TIPS}
