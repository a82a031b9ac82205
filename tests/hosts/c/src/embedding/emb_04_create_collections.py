import pickle

import chromadb
from src.config import ROOT

client = chromadb.PersistentClient(str(ROOT / "vector_stores"), settings=chromadb.Settings(anonymized_telemetry=False))
if "books" in [collection.name for collection in client.list_collections()]:
    client.delete_collection("books")
collection = client.create_collection("books", embedding_function=None)
for file in sorted((ROOT / "data" / "embeddings").glob("*.pkl")):
    with open(file, "rb") as stored:
        records = pickle.load(stored)
    keys = sorted(records, key=lambda key: int(key.split("_")[1]))
    collection.add(
        ids=[f"{file.stem}_chunk_{number:05d}" for number in range(len(keys))],
        embeddings=[records[key]["embedding"] for key in keys],
        documents=[records[key]["text"] for key in keys],
        metadatas=[{"source": records[key]["metadata"].get("source", "?"), "source_file": file.name} for key in keys],
    )
print(f"books: {collection.count()} records")
