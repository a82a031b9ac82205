"""Records written as files of every kind."""

import csv
import gzip
import io
import json

import pyarrow
import pyarrow.parquet

KINDS = ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "json.gz", "csv.gz", "tsv.gz"]


def write_records(path, records):
    """Write records in the kind that the name tells; return the path."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
        return path
    if name.endswith((".csv", ".tsv")):
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(records[0]), delimiter="\t" if name.endswith(".tsv") else ",")
        writer.writeheader()
        writer.writerows(records)
        text = out.getvalue()
    elif name.endswith(".jsonl"):
        text = "".join(json.dumps(record) + "\n" for record in records)
    else:
        text = json.dumps(records)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def write_beir(folder, *, passages=6, splits=("train", "dev", "test")):
    """Write a folder in BEIR's form, query n answered by passage n (and, at score 0, not by the next); return it."""
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": f"House {n}", "text": f"It keeps lamp {n}."} for n in range(passages)]
    queries = [{"_id": f"q{n}", "text": f"who keeps lamp {n}"} for n in range(passages)]
    write_records(folder / "corpus.jsonl", corpus)
    write_records(folder / "queries.jsonl", queries)
    for place, split in enumerate(splits):
        asked = range(place, passages, len(splits))
        rows = [f"q{n}\td{n}\t{1 + n % 2}\nq{n}\td{(n + 1) % passages}\t0\n" for n in asked]
        text = "query-id\tcorpus-id\tscore\n" + "".join(rows)
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder
