"""The tables that crmkit takes: sales, products, members, service records, costs, tips, deals and redemptions."""

from __future__ import annotations

from crmkit.ingest.contracts import Contract
from crmkit.ingest.rules import A_TOTAL, NON_MEMBERS
from crmkit.ingest.table_rules import (
    CARD_RULES,
    COST_RULES,
    DEAL_RULES,
    MERGE_RULES,
    POINTS_RULES,
    PREMISES_RULES,
    PRICE_RULES,
    PRODUCT_RULES,
    RATE_RULES,
    REDEMPTION_RULES,
    SERVICE_RULES,
    STAFF_RULES,
    STOCK_RULES,
    VISIT_RULES,
)

__all__ = [
    "CARDS",
    "COSTS",
    "DEALS",
    "ERASURES",
    "MEMBERS",
    "MERGES",
    "POINTS",
    "PREMISES",
    "PRICES",
    "PRODUCTS",
    "RATES",
    "REDEMPTIONS",
    "SALES",
    "SERVICE",
    "STAFF",
    "STOCK",
    "TIPS",
    "VISITS",
]

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
        "currency": "text",
    },
    required=("customer_id", "purchased_at", "amount"),
    derived={"amount": ("quantity", "unit_price")},
    rules=(A_TOTAL,),
    non_members=NON_MEMBERS,
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
    rules=PRODUCT_RULES,
)

PRICES = Contract(
    name="prices",
    columns={"product_id": "id", "price": "money"},
    required=("product_id", "price"),
    rules=PRICE_RULES,
)

STOCK = Contract(
    name="stock",
    columns={
        "product_id": "id",
        "supplier": "text",
        "stock": "number",
        "lead_time": "number",
        "on_order": "number",
        "min_order": "number",
        "pack_size": "number",
        "unit_cost": "money",
        "shelf_life": "number",
        "vat_rate": "number",
        "arrives": "date",
        "expires": "date",
        "exclusive": "text",
    },
    required=("product_id", "supplier", "stock", "lead_time"),
    rules=STOCK_RULES,
)

RATES = Contract(
    name="rates",
    columns={"currency": "text", "day": "date", "rate": "text"},
    required=("currency", "day", "rate"),
    rules=RATE_RULES,
)

MEMBERS = Contract(
    name="members",
    columns={
        "customer_id": "id",
        "joined": "date",
        "no_contact": "text",
        "agreement": "text",
        "gender": "text",
        "birth_year": "number",
        "age_group": "text",
        "unit": "id",
        "vip_since": "date",
        "area": "text",
        "street": "text",
    },
    required=("customer_id",),
)

CARDS = Contract(
    name="cards",
    columns={"card": "id", "member": "id", "unit": "id", "since": "date"},
    required=("card", "member"),
    rules=CARD_RULES,
)

MERGES = Contract(
    name="merges",
    columns={"member": "id", "merged_into": "id", "merged_on": "date", "undone_on": "date"},
    required=("member", "merged_into", "merged_on"),
    rules=MERGE_RULES,
)

ERASURES = Contract(
    name="erasures",
    columns={"customer_id": "id", "asked_on": "date"},
    required=("customer_id",),
)

POINTS = Contract(
    name="points",
    columns={"customer_id": "id", "day": "date", "kind": "text", "points": "number", "balance": "number"},
    required=("customer_id", "day", "kind", "points"),
    rules=POINTS_RULES,
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
        "responsible": "text",
        "store": "id",
        "due": "date",
        "handling": "number",
        "expected": "number",
    },
    required=("record_id", "customer_id", "recorded_at", "kind"),
    rules=SERVICE_RULES,
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
    rules=COST_RULES,
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
    rules=DEAL_RULES,
)


REDEMPTIONS = Contract(
    name="redemptions",
    columns={
        "customer_id": "id",
        "deal_id": "id",
        "code": "id",
        "redeemed_at": "time",
        "amount": "money",
        "order_id": "id",
    },
    required=("customer_id", "redeemed_at", "amount"),
    rules=REDEMPTION_RULES,
)


PREMISES = Contract(
    name="premises",
    columns={
        "customer_id": "id",
        "area": "text",
        "type": "text",
        "latitude": "number",
        "longitude": "number",
        "opens": "number",
        "closes": "number",
        "closed_on": "text",
    },
    required=("customer_id",),
    rules=PREMISES_RULES,
)

STAFF = Contract(
    name="field staff",
    columns={
        "field_person": "id",
        "area": "text",
        "latitude": "number",
        "longitude": "number",
        "minutes": "number",
        "visits": "number",
    },
    required=("field_person",),
    rules=STAFF_RULES,
)

VISITS = Contract(
    name="visits",
    columns={
        "field_person": "id",
        "day": "date",
        "customer_id": "id",
        "met": "number",
        "outcome": "text",
        "minutes": "number",
        "sold": "money",
    },
    required=("field_person", "day", "customer_id", "met"),
    rules=VISIT_RULES,
)

CONTRACTS = {"transactions": SALES, "products": PRODUCTS, "members": MEMBERS, "deals": DEALS, "tips": TIPS}
