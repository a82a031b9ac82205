from abc import ABC, abstractmethod
from datetime import datetime


class EmbeddingManager(ABC):
    def __init__(self, config_dict):
        self.config_dict = config_dict
        self.model_config = config_dict["EMBEDDING_MODEL_CONFIG"]

    def get_manager_config(self):
        return self.config_dict

    @abstractmethod
    def test_connection(self): ...

    @abstractmethod
    def embed_chunks(self, texts, show_progress=True, chunk_type=None): ...

    @abstractmethod
    def tokenize_text(self, text): ...

    @abstractmethod
    def token_count(self, text): ...


class OllamaManager(EmbeddingManager):
    def test_connection(self):
        raise ValueError("Ollama does not answer")

    def embed_chunks(self, texts, show_progress=True, chunk_type=None):
        raise ConnectionError("Ollama does not answer")

    def tokenize_text(self, text):
        raise ConnectionError("Ollama does not answer")

    def token_count(self, text):
        return len(self.tokenize_text(text))


class SentenceTransformerManager(EmbeddingManager):
    """Loads a folder by its path: the way without any exchange."""

    def __init__(self, config_dict):
        super().__init__(config_dict)
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(self.model_config["EMBEDDING_MODEL_NAME"], device="cpu")
        dimension = self.model.get_embedding_dimension()
        if dimension != self.model_config["EMBEDDING_MODEL_DIMENSION"]:
            raise ValueError(f"the model has {dimension} dimensions")

    def test_connection(self):
        return True

    def tokenize_text(self, text):
        return self.model.tokenizer(text)["input_ids"]

    def token_count(self, text):
        return len(self.tokenize_text(text))

    def embed_chunks(self, texts, show_progress=True, chunk_type=None):
        started = datetime.now()
        prefix = self.model_config[f"EMBEDDING_MODEL_{chunk_type or 'RAW'}_PREFIX"]
        texts = [f"{prefix} {text}" if prefix else text for text in texts]
        counts = [self.token_count(text) for text in texts]
        if max(counts) >= self.model_config["EMBEDDING_MODEL_MAX_TOKENS"]:
            raise ValueError(f"a text has {max(counts)} tokens")
        vectors = self.model.encode(texts, prompt="", normalize_embeddings=True, show_progress_bar=False).tolist()
        return vectors, sum(counts) / len(counts), max(counts), datetime.now() - started
