"""A model written as a GGUF file, for llama.cpp, Ollama and LM Studio, with a Modelfile beside it."""

from pathlib import Path
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.export.gguf_weights import ARCHITECTURES, Weights, require_known_family, weights_of
from dragon_finetune.export.source import ROLES, Source
from dragon_finetune.export.wordpiece import WordPiece, read_wordpiece
from dragon_finetune.files import write_text

DTYPES = ("f16", "f32", "q8_0")
_POOLINGS = ("mean", "cls")
# Read row by row by an operation that wants float32.
_ALWAYS_FULL = ("position_embd.weight", "token_types.weight")
_BLOCK = 32  # numbers that share one scale in q8_0
_OLLAMA_BATCH = 512


def check_gguf(source: Source) -> None:
    """Raise, before anything is written, why a model can't be a GGUF: SettingsError (no library), ModelError."""
    _library()
    source.require_plain("GGUF", _POOLINGS)
    require_known_family(source)
    read_wordpiece(source)


def write_gguf(source: Source, folder: Path, dtype: str) -> list[str]:
    """Write `model-DTYPE.gguf` and a Modelfile for Ollama into a folder; return what to know of them, in sentences."""
    gguf = _library()
    words = read_wordpiece(source)
    name = f"model-{dtype}.gguf"
    writer = gguf.GGUFWriter(folder / name, ARCHITECTURES[source.body.config.model_type])
    _write_facts(writer, source, dtype)
    _write_tokenizer(writer, words, source)
    for tensor, weights in weights_of(source):
        _write_tensor(writer, tensor, weights, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_text(folder / "Modelfile", _modelfile(source, name))
    return _notes(source, words)


def _library() -> Any:
    try:
        import gguf
    except ImportError:
        raise SettingsError('GGUF needs its official package: pip install "dragon-finetune[export]".') from None
    return gguf


def _write_facts(writer: Any, source: Source, dtype: str) -> None:
    gguf = _library()
    config = source.body.config
    writer.add_name(source.folder.path.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(source.limit)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type({"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS}[source.pooling])
    writer.add_file_type({"f32": 0, "f16": 1, "q8_0": 7}[dtype])
    if config.model_type == "nomic_bert":
        writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))


def _write_tokenizer(writer: Any, words: WordPiece, source: Source) -> None:
    types = _library().TokenType
    kinds = [
        types.UNUSED if token is None else types.CONTROL if token in words.special else types.NORMAL
        for token in words.tokens
    ]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(source.body.config.type_vocab_size)
    writer.add_token_list(words.spelt_for_llama())
    writer.add_token_types(kinds)
    for short, number in words.ids.items():
        getattr(writer, f"add_{short}_token_id")(number)
    writer.add_bool("tokenizer.ggml.normalizer.lowercase", words.lowercase)
    writer.add_bool("tokenizer.ggml.normalizer.strip_accents", words.strip_accents)


def _write_tensor(writer: Any, name: str, weights: Weights, dtype: str) -> None:
    gguf = _library()
    is_matrix = weights.ndim == 2 and name not in _ALWAYS_FULL
    if not is_matrix or dtype == "f32":
        writer.add_tensor(name, weights)
    elif dtype == "q8_0" and weights.shape[1] % _BLOCK == 0:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, weights.astype("float16"))


def _modelfile(source: Source, name: str) -> str:
    wanted = [(role, source.folder.prompts.of(role)) for role in ROLES]
    lines = [
        f"# ollama create {source.folder.path.name} -f Modelfile",
        *[f"# Put {prompt!r} before every {role}: Ollama puts nothing there." for role, prompt in wanted if prompt],
        f"FROM ./{name}",
        f"PARAMETER num_ctx {source.limit}",
        # A text goes through such a model in one batch or not at all.
        *([f"PARAMETER num_batch {source.limit}"] if source.limit > _OLLAMA_BATCH else []),
    ]
    return "\n".join(lines) + "\n"


def _notes(source: Source, words: WordPiece) -> list[str]:
    notes = [f"llama.cpp and Ollama make vectors of length 1, as we do; a text ends at {source.limit} tokens"]
    if not words.lowercase or not words.strip_accents:
        notes.append(
            "the model tells capitals or accents apart, which only a llama.cpp that knows "
            "tokenizer.ggml.normalizer.lowercase and .strip_accents does; older ones, and Ollama with an older one "
            "inside, take them away without a word"
        )
    return notes
