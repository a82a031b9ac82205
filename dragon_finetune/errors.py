"""Every error this package raises on purpose. A message says what is wrong, where, and what to do next."""


class DragonFinetuneError(Exception):
    """Base of all errors of this package; the command line turns any of them into exit code 2."""


class DataError(DragonFinetuneError):
    """A text, pair, question or result that can't be used; names the file and line, or the item."""


class TokenLimitError(DataError):
    """Texts are longer than the model's limit and nobody asked for truncation by name."""


class SettingsError(DragonFinetuneError):
    """A setting has an unknown name or value; names the nearest known one."""


class ModelError(DragonFinetuneError):
    """A model folder is missing, incomplete, occupied, or not a sentence-transformers model."""


class StaleIndexError(DragonFinetuneError):
    """Stored vectors were made by another encoder than the one that would query them."""


class PluginError(DragonFinetuneError):
    """A plugin name is unknown or claimed twice."""
