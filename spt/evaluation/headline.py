"""The result in words: the network beside the best simple method, on the splits that chose nothing."""

from collections.abc import Iterator, Mapping

from spt.evaluation.scores import Scores

SEEN, UNSEEN = ("test_seen", "val_seen"), ("test_unseen", "val_unseen")
"""Splits with trained and with unseen diffusers; the first that is there is quoted."""

CHOSE = "val_seen"
"""The split that chooses the epoch: it is quoted with a warning."""


def headline(scores: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Scores]]) -> str:
    """Say what came out, in one line: through trained diffusers, then through unseen ones.

    Args:
        scores: split to metric to score of the network.
        baselines: split to method to metric to score.
    """
    parts = [*_quoted("trained", SEEN, scores, baselines), *_quoted("unseen", UNSEEN, scores, baselines)]
    if not parts:
        parts = [in_words(f"On {name}", scores[name], baselines.get(name, {})) for name in list(scores)[:1]]
    return " ".join(parts)


def in_words(where: str, network: Scores, baselines: Mapping[str, Scores]) -> str:
    """The PCC of the network and of the best baseline, as a sentence."""
    mean = network["pcc"]["mean"]
    if mean is None:
        return f"{where}: no PCC, since a prediction is not finite."
    best = best_baseline(baselines)
    beside = f", the best baseline {best[1]:.3f} ({best[0]})" if best else ""
    return f"{where}: PCC {mean:.3f}{beside}."


def best_baseline(baselines: Mapping[str, Scores]) -> tuple[str, float] | None:
    """Name and mean PCC of the baseline with the highest; None where none has one."""
    known = {name: mean for name, scores in baselines.items() if (mean := scores["pcc"]["mean"]) is not None}
    return max(known.items(), key=lambda item: item[1], default=None)


def _quoted(
    kind: str, names: tuple[str, ...], scores: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Scores]]
) -> Iterator[str]:
    name = next((name for name in names if name in scores), None)
    if name is not None:
        warned = ", which chose the epoch" if name == CHOSE else ""
        yield in_words(f"Through {kind} diffusers ({name}{warned})", scores[name], baselines.get(name, {}))
