"""What cheaper matching costs in quality: recall, right matches and the same answer, on one or more data sets.

    python tools/matching_quality.py budget DATA ... [--model fol_nano] [--size 182] [--out runs/matching_quality]
    python tools/matching_quality.py methods DATA ...
    python tools/matching_quality.py store DATA ...

"budget": fewer tokens per image, chosen in three ways. "methods": precisions, the cascade, centred scores.
"store": bits per component of the stored local features, and budgets of tokens.
Every variant goes through ``fol.evaluate``, so a run that was killed goes on where it stopped. Writes the table and,
for budgets, the curve to the folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

import fol
from fol.data import read_dataset
from fol.errors import FolError
from fol.evaluation import EvaluationResult, evaluate
from fol.files import write_atomically
from fol.reranking import Method
from fol.retrieval import LocalStoreOptions, PlaceMap
from fol.visualization import draw_curves

BUDGETS = (3400, 1600, 900, 450, 225, 100)


_FLOAT16 = LocalStoreOptions(bits=16)


@dataclass(frozen=True)
class Variant:
    """One way of matching."""

    name: str
    options: fol.RerankOptions
    method: Method = "fol"
    local: LocalStoreOptions = _FLOAT16


def budget_variants() -> list[Variant]:
    """All tokens, then ever fewer, then the other ways of choosing them for comparison."""
    spread = [Variant(f"{budget} tokens", fol.RerankOptions(max_tokens=budget)) for budget in BUDGETS]
    others = [
        Variant(f"{budget} by {way}", fol.RerankOptions(max_tokens=budget, token_selection=way))
        for way in ("weight", "stride")
        for budget in BUDGETS[3:]
    ]
    return [Variant("all", fol.RerankOptions()), *spread, *others]


def method_variants() -> list[Variant]:
    """Exact first: the others are compared with it."""
    return [
        Variant("exact", fol.RerankOptions()),
        Variant("int8", fol.RerankOptions(precision="int8")),
        Variant("binary", fol.RerankOptions(precision="binary")),
        *(
            Variant(f"cascade, {top} by int8", fol.RerankOptions(cascade_int8=top), "cascade")
            for top in (5, 10, 20, 40)
        ),
        Variant("centred", fol.RerankOptions(centred=True)),
        Variant("centred, above 0.5", fol.RerankOptions(centred=True, centred_threshold=0.5)),
        Variant("cosine weights", fol.RerankOptions(similarity_weight="cosine")),
        Variant("margin weights", fol.RerankOptions(similarity_weight="margin")),
        *(
            Variant(f"candidates within {margin}", fol.RerankOptions(candidate_margin=margin))
            for margin in (0.1, 0.2, 0.3)
        ),
    ]


def store_variants() -> list[Variant]:
    """From float16 to one bit, then with fewer tokens; what is stored as codes is matched as codes."""
    kept = [LocalStoreOptions(bits, tokens) for tokens in (None, 900, 450, 225) for bits in (8, 4, 2, 1)]
    return [
        Variant("16 bits", fol.RerankOptions()),
        *(
            Variant(
                f"{local.bits} bit{'s' * (local.bits > 1)}, {local.max_tokens or 'all'} tokens",
                fol.RerankOptions(precision="int8", max_tokens=local.max_tokens),
                local=local,
            )
            for local in kept
        ),
    ]


STUDIES = {"budget": budget_variants, "methods": method_variants, "store": store_variants}


def main(words: list[str]) -> int:
    """Run a study and print its table; 1 after an error."""
    parser = argparse.ArgumentParser(description="what cheaper matching costs in quality")
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("data", nargs="+", type=Path, help="folders of data sets with ground truth")
    parser.add_argument("--model", default="fol_nano")
    parser.add_argument("--size", type=int, help="input side in pixels; the model's own by default")
    parser.add_argument("--out", type=Path, default=Path("runs/matching_quality"))
    given = parser.parse_args(words)
    variants = STUDIES[given.study]()
    try:
        table, curves = study(variants, given.data, given.model, given.size, given.out)
    except FolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table, end="")
    write_atomically(given.out / f"{given.study}.md", table.encode())
    if given.study == "budget":
        budgets = [float(b) for b in BUDGETS]
        draw_curves(
            given.out / "budget.png",
            {name: list(zip(budgets, values[1 : len(budgets) + 1], strict=True)) for name, values in curves.items()},
            xlabel="tokens per image at most",
            ylabel="%",
            logarithmic=True,
        )
    return 0


def study(
    variants: Sequence[Variant], folders: Sequence[Path], model_name: str, image_size: int | None, out: Path
) -> tuple[str, Mapping[str, Sequence[float]]]:
    """Markdown table over all data sets, and the mean curves by name, in the order of the variants."""
    torch.set_num_threads(1)
    model = fol.load_model(model_name, image_size=image_size)
    results: dict[str, list[EvaluationResult]] = {variant.name: [] for variant in variants}
    size: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for folder in folders:
        dataset = read_dataset(folder)
        where = out / f"{model.name}-{model.card.preprocessing.image_size[0]}" / dataset.name
        for variant in variants:
            database = where / f"{variant.local.bits}-bits-{variant.local.max_tokens or 'all'}-tokens.fol"
            if not database.exists():
                PlaceMap.build(database, model, dataset.database, local=variant.local, calibrate=False)
            place_map = PlaceMap.open(database, model)
            size[variant.name].append(place_map.bytes_per_image()["local"])
            localizer = fol.Localizer(model, place_map, method=variant.method, options=variant.options)
            results[variant.name].append(evaluate(localizer, dataset, out=where / variant.name.replace(" ", "_")))
            print(f"{dataset.name}: {variant.name}", file=sys.stderr)
    reference = results[variants[0].name]
    lines = [
        f"| {model.name}, {len(folders)} sets | R@1 | R@5 | matches right | same first place | matching, ms | "
        "local features, KB |",
        "|---|---|---|---|---|---|---|",
    ]
    curves: dict[str, list[float]] = {"R@1": [], "R@5": [], "matches right": []}
    for name, found in results.items():
        accuracy = [100 * r.match_accuracy for r in found if r.match_accuracy is not None]
        row = [100 * pooled(found, 1), 100 * pooled(found, 5), fmean(accuracy) if accuracy else float("nan")]
        for curve, value in zip(curves.values(), row, strict=True):
            curve.append(value)
        same = [
            one.reranked_top == other.reranked_top
            for first, second in zip(reference, found, strict=True)
            for one, other in zip(first.queries, second.queries, strict=True)
        ]
        seconds = fmean(r.seconds["rerank"].median for r in found)
        cells = [f"{value:.1f}" for value in (*row, 100 * fmean(same), 1000 * seconds, fmean(size[name]) / 1e3)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    queries = sum(len(r.queries) for r in reference)
    lines.append(f"\n{queries} queries of {', '.join(r.subject.dataset for r in reference)}; recalls over all queries.")
    return "\n".join(lines) + "\n", {name: values for name, values in curves.items() if values[0] == values[0]}


def pooled(results: Sequence[EvaluationResult], k: int) -> float:
    """Recall over the queries of all data sets together; those without positives count as misses."""
    ranks = [rank for result in results for rank in result.ranks("reranked")]
    return fmean(rank is not None and rank <= k for rank in ranks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
