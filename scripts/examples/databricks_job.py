"""The nightly run as a Databricks job: a Python task on one machine that reads a Delta table and writes tables back.

The extract is read from the table's files; ``/Volumes/…`` is a folder to crmkit, so runs, models and the track record stay
there from night to night.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import SparkSession

import crmkit as ck

HOME = "/Volumes/main/crm/nightly"
PUBLISHED = ("customers", "repurchases", "offers", "control", "scorecard")

spark = SparkSession.builder.getOrCreate()
yesterday = date.today() - timedelta(days=1)
sales = spark.table("main.sales.lines").where(f"sold_on <= date '{yesterday}'")
sales.write.mode("overwrite").parquet(f"{HOME}/delivery")

config = {
    "until": yesterday,
    "transactions": {"files": f"{HOME}/delivery/*.parquet", "columns": {"customer_id": "card", "amount": "net_paid"}},
    "repurchase": {"by": "category"},
}
done = ck.run(config, f"{HOME}/out", as_of=yesterday)
for name in PUBLISHED:
    if name in done.tables:
        spark.createDataFrame(done.tables[name]).write.mode("overwrite").saveAsTable(f"main.crm.{name}")
print("\n".join([str(done.folder), *done.notes]))
