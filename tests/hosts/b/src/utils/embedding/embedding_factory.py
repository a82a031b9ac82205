import json
import urllib.request
from abc import ABC, abstractmethod
from datetime import datetime


class BaseEmbeddingManager(ABC):
    def __init__(self, config_dict):
        self.config_dict = config_dict
        print(json.dumps(config_dict))

    @abstractmethod
    def test_connection(self): ...

    def get_manager_config(self):
        return self.config_dict

    @abstractmethod
    def embed_chunks(self, texts, show_progress=True, prefix=None): ...


class OllamaManager(BaseEmbeddingManager):
    def test_connection(self):
        raise ValueError("Ollama does not answer")

    def embed_chunks(self, texts, show_progress=True, prefix=None):
        started, vectors = datetime.now(), []
        for text in texts:
            body = json.dumps({"model": self.config_dict["EMBEDDING_MODEL"]["EMBEDDING_MODEL_NAME"], "input": (prefix or "") + text})
            url = f"{self.config_dict['OLLAMA_BASE_URL']}/api/embed"
            with urllib.request.urlopen(url, data=body.encode(), timeout=10) as answer:
                vectors += json.loads(answer.read())["embeddings"]
        return vectors, 0.0, -1, datetime.now() - started


EMBEDDING_MANAGERS = {"ollama": OllamaManager}


def create_embedding_manager(name, config_dict):
    if name not in EMBEDDING_MANAGERS:
        raise ValueError(f"unknown embedding manager {name}")
    return EMBEDDING_MANAGERS[name](config_dict)
