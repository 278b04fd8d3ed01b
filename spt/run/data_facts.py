"""What a run writes down of its data: sizes, counts, and hashes that say whether scores are comparable."""

from typing import Any

from spt.data.datamodule import SpeckleDataModule
from spt.evaluation.data_identity import data_hashes
from spt.evaluation.standard_error import counts


def data_facts(data: SpeckleDataModule) -> dict[str, Any]:
    """Source, preparation, sizes, and for every split its counts and its hash, as JSON types."""
    hashes = data_hashes(data.source, data.splits)
    splits = {name: {**counts(pairs), "hash": hashes.get(name)} for name, pairs in data.splits.items()}
    return {
        "source": type(data.source).__name__,
        "preparation": data.preparation.describe(data.source.frame_size, data.object_size),
        "frame_size": list(data.source.frame_size),
        "input_size": list(data.input_size),
        "object_size": list(data.object_size),
        "splits": splits,
    }
