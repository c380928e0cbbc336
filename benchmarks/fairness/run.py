"""What figures by group are worth: intervals, coverage, what is withheld, and what they cost the evaluation of all.

Usage, after a study by groups (``[evaluation] groups``) whose banks' files are on this machine:

    python benchmarks/fairness/run.py STUDY.toml RESULTS [--draws 400] [--out figures.json]

The banks' own scores and tables say how the hold-out is made up, exactly. Every draw is a hold-out drawn from it with
replacement, with noise as a study of the same plan at that epsilon would have. So the truth is known: coverage is of the
figures of all enterprises (of sizes, which are of a hold-out and no more, of those drawn), and two halves that are drawn
from the same enterprises do not differ.
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from fedrisk.analysis.fairness import fairness
from fedrisk.api import load_results
from fedrisk.clients.node import Node
from fedrisk.metrics import auc_standard_error
from fedrisk.recipes import load_study, study_from
from fedrisk.releases.axes import axis_codes
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.groups import band_edges, block_of, cut_offs, groups_release
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.releases.statistics import Axis

HALVES = ("one half", "other half", "(unknown)")


def rows_of(study, folder, attempt, columns):
    """Label, probability and columns of all banks' hold-outs."""
    parts = []
    for bank in study.banks:
        node = Node.load(folder / f"{bank}.toml")
        scores = pd.read_parquet(node.store.path / "results" / attempt / "scores.parquet")
        table = node.institution.read()
        frame = table.frame[list(columns)].assign(id=table.ids)
        held = scores[scores["split"] == "holdout"][["id", "label", "probability"]]
        parts.append(held.merge(frame, on="id"))
    return pd.concat(parts, ignore_index=True)


def counts_by(axis, rows, edges):
    """(levels, bands, 2), exact."""
    level = axis_codes(axis, rows[axis.name])
    band = np.searchsorted(edges, rows["probability"], side="right")
    out = np.zeros((len(axis.categories), len(edges) + 1, 2))
    np.add.at(out, (level, band, (rows["label"] == 0).astype(int)), 1)
    return out


def truth_of(axis, rows, cuts, counts):
    """Figures of all enterprises, by level."""
    level = axis_codes(axis, rows[axis.name])
    out = []
    for k in range(len(axis.categories)):
        mine = rows[level == k]
        n1, n0 = counts[k].T
        area = (n1 * (np.cumsum(n0) - n0 / 2)).sum() / max(n1.sum() * n0.sum(), 1)
        out.append(
            {
                "size": len(mine),
                "observed": mine["label"].mean() if len(mine) else np.nan,
                "predicted": mine["probability"].mean() if len(mine) else np.nan,
                "calibration": mine["label"].sum() / max(mine["probability"].sum(), 1e-9),
                "auc": area,
                **{
                    f"approval {cut:g}": (mine["probability"] < cut).mean() if len(mine) else np.nan
                    for cut in cuts
                },
            }
        )
    return out


def drawn(rng, axes, exact, release, predicted, edges, cuts):
    """Figures of one hold-out drawn with replacement, with noise."""
    blocks, sizes = [], []
    for axis, counts in zip(axes, exact, strict=True):
        total = counts.sum()
        sample = rng.multinomial(int(total), (counts / total).ravel()).reshape(counts.shape)
        sizes.append(sample.sum((1, 2)))
        variance = release.variance(block_of(axis.name))
        noisy = sample + rng.normal(0, np.sqrt(variance), sample.shape)
        blocks.append(
            ReleasedBlock(name=block_of(axis.name), left="bank", right="bank", total=noisy, variance=variance)
        )
    about = {
        "columns": [vars(axis) for axis in axes],
        "band_edges": edges.tolist(),
        "cut_offs": list(cuts),
        "predicted": predicted.tolist(),
    }
    sums = ReleasedSums(name="groups", population="holdout", mu=release.mu, blocks=tuple(blocks), about=about)
    return fairness(SimpleNamespace(find=lambda name: sums, research=False)), sizes


def figures_of(group):
    named = {k: getattr(group, k) for k in ("size", "observed", "predicted", "calibration", "auc")}
    return named | {f"approval {a.cut_off:g}": a.rate for a in group.approvals}


def measured(study, rows, axes, edges, predicted, draws, rng):
    """Coverage, half widths, shares told, and differences called sure, at the study's epsilon."""
    cuts = cut_offs(study)
    halves = rows.assign(half=HALVES[0])
    axes = [*axes, Axis(name="half", column="bank.half", categories=HALVES)]
    study = study_from(
        {
            **study.model_dump(mode="json", exclude_defaults=True),
            "evaluation": {
                **study.model_dump(mode="json")["evaluation"],
                "groups": [a.name for a in axes[:-1]],
            },
        }
    )
    release = groups_release(study, axes[:-1])
    # The column of halves has the noise of the others; it is no part of the study.
    release = SimpleNamespace(mu=release.mu, variance=lambda name, r=release: r.variance(r.blocks[0].name))
    exact = [counts_by(axis, halves, edges) for axis in axes]
    truth = [truth_of(axis, halves, cuts, counts) for axis, counts in zip(axes, exact, strict=True)]
    # Both halves are drawn from the same enterprises.
    exact[-1] = np.stack([exact[-1][0] / 2, exact[-1][0] / 2, exact[-1][2]])
    truth[-1][1] = truth[-1][0]
    hits, halfwidths, told, made, false, families = {}, {}, {}, 0, 0, 0
    for _ in range(draws):
        found, sizes = drawn(rng, axes, exact, release, predicted, edges, cuts)
        family = False
        for column, real, there in zip(found.columns, truth, sizes, strict=True):
            for group, true, n in zip(column.groups, real, there, strict=True):
                if true["size"] == 0:
                    continue
                true = {**true, "size": n}
                for name, figure in figures_of(group).items():
                    key = (column.name, group.level, name.split()[0])
                    told.setdefault(key, []).append(figure is not None)
                    if figure is not None:
                        hits.setdefault(key, []).append(figure.low <= true[name] <= figure.high)
                        halfwidths.setdefault(key, []).append((figure.high - figure.low) / 2)
        for d in found.differences:
            if d.column == "half":
                made += 1
                false += d.sure
                family = family or d.sure
        families += family
    every = {}
    for key in told:
        every.setdefault((key[0], key[2]), []).append(key)
    return {
        "noise_deviation": float(np.sqrt(release.variance(""))),
        "figures": {
            f"{column}: {name}": {
                "told": float(np.mean([x for k in keys for x in told[k]])),
                "coverage": float(np.mean([x for k in keys for x in hits.get(k, [])] or [np.nan])),
                "half_width": float(np.median([x for k in keys for x in halfwidths.get(k, [])] or [np.nan])),
            }
            for (column, name), keys in every.items()
        },
        "false_differences": {"share_of_draws": families / draws, "of_comparisons": false / max(made, 1)},
    }


def cost(study, results):
    """Standard error of the AUC of all enterprises, with groups and without."""
    released = results.record.release("evaluation")
    n1, n0 = np.sum([b.total for b in released.blocks], axis=0).T
    plain = study.model_dump(mode="json", exclude_defaults=True)
    without = study_from({**plain, "evaluation": {"bins": study.evaluation.bins}})
    return {
        name: float(auc_standard_error(n1, n0, evaluation_release(s, s.evaluation.bins).variance("bank")))
        for name, s in (("with groups", study), ("without", without))
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    study, results = load_study(args.study), load_results(args.results)
    about = results.record.release("groups").about
    axes = [
        Axis(**{**c, **{k: tuple(c[k]) for k in ("categories", "cuts", "special")}}) for c in about["columns"]
    ]
    rows = rows_of(study, args.study.parent / "institutions", results.attempt, [a.name for a in axes])
    edges, rng, out = band_edges(study), np.random.default_rng(7), {}
    # What was predicted in each band, as a study learns it from its noisy histogram, is taken from it here too.
    predicted = np.asarray(about["predicted"])
    band = np.searchsorted(edges, rows["probability"], side="right")
    exact = np.array([rows["probability"][band == k].mean() for k in range(len(edges) + 1)])
    out["predicted by band"] = {"released": predicted.tolist(), "exact": exact.tolist()}
    for epsilon in (1.0, 3.0):
        for chosen in ([axes[0]], axes):
            asked = study.model_copy(
                update={"privacy": study.privacy.model_copy(update={"epsilon": epsilon})}
            )
            name = f"epsilon {epsilon:g}, {len(chosen)} columns"
            out[name] = measured(asked, rows, chosen, edges, exact, args.draws, rng) | {
                "auc_error": cost(asked, results)
            }
    text = json.dumps(out, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
