import pickle

import chromadb
from src.utils.config import PATHS

NARRATIVE = ("book", "chronology", "summaries")

client = chromadb.PersistentClient(str(PATHS.store), settings=chromadb.Settings(anonymized_telemetry=False))
for name in ("narrative", "reference"):
    if name in [collection.name for collection in client.list_collections()]:
        client.delete_collection(name)
    collection = client.create_collection(name, metadata={"description": name}, embedding_function=None)
    for file in sorted(PATHS.embeddings.glob("*.pkl")):
        if any(part in file.stem for part in NARRATIVE) != (name == "narrative"):
            continue
        with open(file, "rb") as stored:
            records = pickle.load(stored)
        keys = sorted(records)
        fields = ("source", "temporal_order", "title")
        collection.add(
            ids=[f"{file.stem}_{number}" for number in range(len(keys))],
            embeddings=[records[key]["embedding"] for key in keys],
            documents=[records[key]["text"] for key in keys],
            metadatas=[
                {k: v for k, v in records[key]["metadata"].items() if k in fields and v is not None}
                | {"source_file": file.name}
                for key in keys
            ],
        )
    print(f"{name}: {collection.count()} records")
