"""A notebook on Spark Connect: its process has no classic session, only the client of a server that runs beside it.

Ray is not there either, as in a notebook: the first annotator starts it, and the last one that is closed stops it.

A program of its own (`python -m tests.support.connect`): a process that had a classic session before cannot become one
with a remote session. Prints one line of JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from typing import Any

import psutil
from pyspark.sql import SparkSession

import uniner_dist as ud

TEXTS = {"k0": "Ada met Bob.", "k1": "nobody", "k2": None, "k3": "Ann saw \U0001f469 Bea."}
SETTINGS: dict[str, Any] = {"engine.kind": "scripted", "pool.cpus_per_replica": 0.4}


def raylets() -> list[int]:
    """Process ids of the Ray nodes that this process has started."""
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if child.name() == "raylet" and child.status() != psutil.STATUS_ZOMBIE]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def one_ray_for_two() -> list[list[int]]:
    """Ray's nodes with one annotator, with two, after the first has left, and after the last has."""
    seen = []
    port = free_port()
    options = {**SETTINGS, "ray.metrics_port": port}
    first, second = (ud.Annotator(settings=options, say=lambda line: None) for _ in range(2))
    for annotator in (first, second):
        assert annotator.annotate("Ada", {"x": "a"})[0]["outcome"] == "found"
        seen.append(raylets())
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1200).status == 200
    first.close()
    assert second.annotate("Ann", {"x": "a"})[0]["outcome"] == "found"
    seen.append(raylets())
    second.close()
    return [*seen, raylets()]


def main() -> None:
    spark = SparkSession.builder.remote("local[1]").getOrCreate()
    rows = [(key, text, number) for number, (key, text) in enumerate(TEXTS.items())]
    data = spark.createDataFrame(rows, "key string, `the body` string, src int")
    arguments: dict[str, Any] = {"types": {"A-words": "a", "B-words": "b"}, "id": "key", "text": "the body"}
    with ud.Annotator(settings=SETTINGS, say=lambda line: print(line, file=sys.stderr)) as annotator:
        found = annotator.annotate(data, keep=["src"], **arguments)
        again = annotator.annotate(data, limit=1, **arguments)
        rejects = annotator.rejects
        pieces = list(annotator.stream(data, rows=2, **arguments))
        ud.show(found, data, id="key", text="the body")
    kinds = {f"{type(frame).__module__}" for frame in (found, again, *pieces)}
    result = {
        "kinds": sorted(kinds),
        "columns": found.columns,
        "rows": [row.asDict(recursive=True) for row in found.orderBy("key", "entity_type").collect()],
        "found": found.where("outcome = 'found'").count(),
        "limited": again.count(),
        "pieces": [piece.count() for piece in pieces],
        "rejects": None if rejects is None else rejects.num_rows,
        "raylets": one_ray_for_two(),
    }
    spark.stop()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
