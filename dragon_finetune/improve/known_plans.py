"""Plans that were made before: the same work is not planned, and not asked for, twice."""

import hashlib
import json
from typing import Any

from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.model_files import raw_hash
from dragon_finetune.files import write_json
from dragon_finetune.improve.places import Places
from dragon_finetune.improve.plan import Plan
from dragon_finetune.improve.planning import Material
from dragon_finetune.improve.request import Request
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_layout import read_optional
from dragon_finetune.training.datasets import data_hash


class KnownPlans:
    """The plans of one folder, by what they are plans of."""

    def __init__(self, places: Places) -> None:
        self._file = places.plan
        self._plans = read_optional(self._file)
        if not self._file.exists():  # it marks the folder as ours before anything else lies there
            write_json(self._file, self._plans)

    def get(self, inputs: str) -> Plan | None:
        """Return the plan of these inputs, if it was made before."""
        found = self._plans.get(inputs)
        return Plan.of(found) if found else None

    def keep(self, inputs: str, plan: Plan) -> None:
        """Keep a plan."""
        self._plans[inputs] = plan.to_dict()
        write_json(self._file, self._plans)


def inputs_of(request: Request, places: Places, material: Material) -> str:
    """Return a hash of everything that a plan depends on: texts, pairs and questions by what they are."""
    settings = {name: str(value) for name, value in sorted(request.training.items())}
    facts: list[Any] = [fingerprint(ModelFolder.open(request.base_model)), request.budget, request.llm, settings]
    facts.append(data_hash(material.pairs))
    facts.append([str(question) for question in material.questions.all] if material.questions else [])
    digest = hashlib.blake2b(json.dumps(facts, default=str).encode(), digest_size=16)
    digest.update(raw_hash(places.chunks))
    return digest.hexdigest()
