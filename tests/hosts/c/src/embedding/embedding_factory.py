from src.embedding.embedding_managers import OllamaManager, SentenceTransformerManager


def create_embedding_manager(config_dict):
    managers = {"ollama": OllamaManager, "sentence_transformer": SentenceTransformerManager}
    name = config_dict["EMBEDDING_MANAGER"]
    if name not in managers:
        raise ValueError(f"Unknown embedding manager: {name}")
    return managers[name](config_dict)
