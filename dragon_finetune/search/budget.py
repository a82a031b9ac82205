"""How much a search may spend."""

from dataclasses import dataclass

from dragon_finetune.errors import SettingsError


@dataclass(frozen=True)
class Budget:
    """How much may be spent: hours, or runs; None: no bound."""

    seconds: float | None = None
    runs: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Return the budget of "10h", "90m", "30s" or "8 runs". Raises SettingsError for anything else."""
        words = text.strip().lower().replace(" ", "")
        units = {"runs": None, "run": None, "h": 3600, "m": 60, "s": 1}
        for unit, seconds in units.items():
            if words.endswith(unit):
                try:
                    number = float(words.removesuffix(unit))
                except ValueError:
                    break
                if not 0 < number < float("inf"):
                    break
                return cls(runs=int(number)) if seconds is None else cls(seconds=number * seconds)
        raise SettingsError(f"the budget is {text!r}; write 10h, 90m or '8 runs'.")
