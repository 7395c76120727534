"""A summary, a fit and scores on a standalone cluster: a master and two workers on the loopback interface."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from crmkit import BGNBD, CustomerLifetimeValue, GammaGamma, Transactions, btyd_summary, purchase_gaps, run
from crmkit.models.scoring import score_customers
from crmkit.testing import generated_sales

pytestmark = pytest.mark.xdist_group("spark")

PATIENCE = 90
JOB = """
import pickle, sys
from functools import partial
from pathlib import Path
from pyspark.sql import SparkSession
from crmkit import BGNBD, btyd_summary, purchase_gaps
from crmkit.models.scoring import fit_customers, score_customers
from crmkit.engine.choose import on_spark

session = SparkSession.builder.getOrCreate()
log, clv, classifier = pickle.loads(Path(sys.argv[1]).read_bytes())
home = Path(sys.argv[2])
log = on_spark(log)
purchase_gaps(log, by="category").write.parquet(f"file://{home}/gaps.parquet")
customers = btyd_summary(log)
customers.write.parquet(f"file://{home}/customers.parquet")
model = fit_customers(BGNBD(), customers)
scored = score_customers(customers, p_alive=model.probability_alive, value=clv, p_often=classifier)
scored.write.parquet(f"file://{home}/scored.parquet")
status = session.sparkContext._jsc.sc().statusTracker()
print("EXECUTORS", len(status.getExecutorInfos()) - 1, "PARAMETERS", *model.params_.values())
session.stop()
"""

NIGHT = """
import sys
from pathlib import Path
from pyspark.sql import SparkSession
from crmkit import run

session = SparkSession.builder.getOrCreate()
home = Path(sys.argv[1])
session.read.csv(f"file://{home}/till.csv", header=True).createOrReplaceTempView("till")
config = {"until": "2017-09-07", "transactions": {"table": "till"}, "engine": {"kind": "spark"}}
run(config, home / "there", home=home)
status = session.sparkContext._jsc.sc().statusTracker()
print("EXECUTORS", len(status.getExecutorInfos()) - 1)
session.stop()
"""


@pytest.fixture
def cluster(tmp_path: Path, spark: Any) -> Iterator[str]:
    """Address of a master that two workers have registered with; the processes end with the test."""
    import pyspark

    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    settings = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}

    def start(role: str, *arguments: str) -> Path:
        log = tmp_path / f"{role}-{len(started)}.log"
        command = [str(spark_class), f"org.apache.spark.deploy.{role.lower()}.{role}", "--host", "127.0.0.1"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "--webui-port", "0", *arguments], stdout=out, stderr=out, env=settings, cwd=tmp_path
            )
        started.append(process)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        return log

    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        master = start("Master", "--port", "0")
        address = wait_for(r"Starting Spark master at (spark://\S+)", master, started)[0]
        for _ in range(2):
            start("Worker", "--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / "work"), address)
        wait_for(r"Registering worker", master, started, times=2)
        yield address
    assert all(process.returncode is not None for process in started)


def wait_for(pattern: str, log: Path, processes: list[subprocess.Popen[bytes]], times: int = 1) -> list[str]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        found = re.findall(pattern, log.read_text(encoding="utf-8", errors="replace"))
        if len(found) >= times:
            return found
        time.sleep(0.2)
    pytest.fail(f"{pattern!r} was not seen: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@pytest.mark.long
def test_a_cluster_gives_what_one_machine_gives(cluster: str, tmp_path: Path) -> None:
    sales = generated_sales(n_customers=3000, days=400)
    log = Transactions.from_extract(sales.assign(customer_id="c" + sales["customer_id"]), until="2018-02-04")
    customers = btyd_summary(log)
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(customers)
    often = LogisticRegression().fit(customers[["recency", "T"]], customers["frequency"] > 2)
    given = tmp_path / "given.pickle"
    given.write_bytes(pickle.dumps((log, clv, often)))

    done = run_job(cluster, given, tmp_path)

    n_executors, *parameters = re.search(r"EXECUTORS (\d+) PARAMETERS (.+)", done.stdout).expand(r"\1 \2").split()
    assert int(n_executors) == 2
    assert list(map(float, parameters)) == pytest.approx(list(clv.purchases_.params_.values()), rel=1e-9)
    expected = score_customers(customers, p_alive=clv.purchases_.probability_alive, value=clv, p_often=often)
    same(tmp_path / "customers.parquet", customers)
    same(tmp_path / "gaps.parquet", purchase_gaps(log, by="category"))
    same(tmp_path / "scored.parquet", expected)


@pytest.mark.long
def test_a_night_on_a_cluster_gives_the_tables_of_one_machine(cluster: str, tmp_path: Path) -> None:
    generated_sales(n_customers=120, days=250, seed=3).to_csv(tmp_path / "till.csv", index=False)
    config = {"until": "2017-09-07", "transactions": {"files": "till.csv"}}
    here = run(config, tmp_path / "here", home=tmp_path).tables

    done = run_job(cluster, tmp_path, job=NIGHT)

    assert "EXECUTORS 2" in done.stdout
    found = tmp_path / "there" / "CURRENT"
    assert {path.stem for path in found.glob("*.parquet")} == set(here)
    for name in ("customers", "repurchases", "customer_values", "customer_risks", "sales_by_week"):
        keys = list(here[name].select_dtypes(["str", "datetime"]).columns)
        expected = here[name].sort_values(keys, ignore_index=True)
        there = pd.read_parquet(found / f"{name}.parquet").sort_values(keys, ignore_index=True)
        pd.testing.assert_frame_equal(there, expected, rtol=1e-6, check_dtype=False)


def run_job(address: str, *given: Path, job: str = JOB) -> subprocess.CompletedProcess[str]:
    settings = ["spark.driver.host=127.0.0.1", "spark.ui.enabled=false", "spark.sql.shuffle.partitions=2"]
    settings += ["spark.executor.memory=700m", "spark.cores.max=2"]
    arguments = " ".join(f"--conf {setting}" for setting in settings)
    environment = os.environ | {
        "PYSPARK_SUBMIT_ARGS": f"--master {address} {arguments} pyspark-shell",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    environment.pop("PYSPARK_GATEWAY_PORT", None)
    done = subprocess.run(
        [sys.executable, "-c", job, *map(str, given)],
        env=environment, capture_output=True, text=True, timeout=8 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def same(path: Path, expected: pd.DataFrame) -> None:
    keys = list(expected.select_dtypes("str").columns)
    found = pd.read_parquet(path).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, check_dtype=False)
