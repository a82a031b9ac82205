"""The distance of a collection, and what the host's thresholds mean under it."""

from typing import Any

HOST_DISTANCES = (0.9, 1.0, 0.5)
"""Distances of the host's era A rubric: of the nearest chunk, of more than half of them, and only noted."""
_DEFAULT = "l2"  # Chroma's, squared; the host sets none


def space_of(collection: Any) -> str:
    """Return a collection's space: l2 (squared), cosine or ip."""
    configuration = collection.configuration_json or {}
    for index in ("hnsw", "spann"):
        space = (configuration.get(index) or {}).get("space")
        if space:
            return str(space)
    return str((collection.metadata or {}).get("hnsw:space", _DEFAULT))


def cosine_at(space: str, distance: float) -> float:
    """Return the cosine of two unit vectors at a distance: 1 - d/2 for squared l2, 1 - d for cosine and ip."""
    return 1 - distance / 2 if space == _DEFAULT else 1 - distance


def explain_space(space: str, unit: bool) -> str:
    """Return what the host's thresholds mean in a collection of this space, whose vectors are of unit length or not."""
    if space != "cosine" and not unit:
        return f"space {space}: with vectors that are not of unit length the host's thresholds mean no cosine."
    here = _listed(cosine_at(space, distance) for distance in HOST_DISTANCES)
    named = f"{HOST_DISTANCES[0]} (nearest), {HOST_DISTANCES[1]} (more than half) and {HOST_DISTANCES[2]} (noted)"
    if space == _DEFAULT:
        return f"space l2 (squared), as the host's: its thresholds {named} are the cosines {here}."
    meant = _listed(cosine_at(_DEFAULT, distance) for distance in HOST_DISTANCES)
    same = _listed(distance / 2 for distance in HOST_DISTANCES)
    return (
        f"space {space}: a distance is 1 - cosine, half of the squared l2 that the host's thresholds are of. {named} "
        f"are the cosines {here} here, not {meant}, so that hardly any point is taken for distance; {same} would mean "
        "the same."
    )


def _listed(values: Any) -> str:
    first, second, third = (f"{value:.2f}" for value in values)
    return f"{first}, {second} and {third}"
