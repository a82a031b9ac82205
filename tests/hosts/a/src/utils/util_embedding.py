import json
import urllib.request
from datetime import datetime

from src.utils.config import get_config


class VectorStoreManager:
    def __init__(self, config=None):
        self.config = config or get_config()
        self.ollama_url = self.config.OLLAMA_BASE_URL
        self.model = self.config.EMBEDDING_MODEL
        self.session = None

    def test_connection(self):
        try:
            self.embed_texts(["test"])
        except OSError:
            return False
        return True

    def embed_texts(self, texts):
        started = datetime.now()
        result = None
        for text in texts:
            body = json.dumps({"model": self.model, "input": text}).encode()
            with urllib.request.urlopen(f"{self.ollama_url}/api/embed", data=body, timeout=10) as answer:
                result = json.loads(answer.read())["embeddings"]
        return result, sum(map(len, texts)) / len(texts) / 4, -1, datetime.now() - started

    def embed_batch(self, texts, batch_size=100, show_progress=True):
        return self.embed_texts(texts)

    def embed_chunks(self, texts, batch_size=100, show_progress=True):
        return self.embed_batch(texts, batch_size, show_progress)
