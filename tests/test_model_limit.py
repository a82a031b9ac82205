"""The families whose positions begin behind the padding token are those of the installed transformers."""

import re
from pathlib import Path

from dragon_finetune.model_limit import BEHIND_PADDING

# A table of positions that has a row for padding, which the numbering of positions steps over.
_TABLE = re.compile(r"config\.max_position_embeddings,\s*config\.\w+,\s*padding_idx=self\.padding_idx")
# Models of pictures, sound or proteins, whose text part has its configuration inside another.
_PARTS = {"altclip", "bridgetower", "clap", "evolla", "pp_doclayout_v2"}


def test_the_families_are_those_of_transformers_sources():
    import transformers

    sources = (Path(transformers.__file__).parent / "models").glob("*/modeling_*.py")
    found = {file.stem.removeprefix("modeling_") for file in sources if _TABLE.search(file.read_text(encoding="utf-8"))}
    assert found - _PARTS == {name.replace("-", "_") for name in BEHIND_PADDING}
