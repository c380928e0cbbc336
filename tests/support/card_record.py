"""The signed record of a small scorecard study, from rows with known effects: exact sums and noise as a study states it."""

from dataclasses import replace

import numpy as np
from scipy.special import expit

from fedrisk.analysis.card_sums import curves_of, label_counts, own_pairs, sizes_of
from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.shape_rows import shape_rows
from fedrisk.recipes.scorecard.fitting import Facts, card_bins, second_release
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.totals import released_sums, total_shapes
from fedrisk.secure.identity import IdentityKey
from fedrisk.study import study_from
from fedrisk.study_members import BANK

EFFECTS = {"bank": (0.7, 0.3), "tax": (0.9, 0.0), "power": (0.5, 0.2), "court": (0.0, 0.0)}
"""Log-odds by a column's deviation, for each role; the court's columns tell nothing."""

KNOWN = {"tax": 0.9, "power": 0.7, "court": 1.0}


def rows(n, rng):
    """(values by role, known by holder, label): columns share a common part."""
    common = rng.normal(size=n)
    values = {
        role: 0.6 * common[:, None] + 0.8 * rng.normal(size=(n, len(effect)))
        for role, effect in EFFECTS.items()
    }
    values["court"] = rng.normal(size=values["court"].shape)
    known = {role: rng.random(n) < share for role, share in KNOWN.items()}
    odds = -2.6 + sum(values[role] @ np.array(effect) for role, effect in EFFECTS.items())
    return values, known, (rng.random(n) < expit(odds)).astype(float)


def card_record(n=12_000, seed=1, *, epsilon=3.0, few=False, research=False):
    """The record, signed. few: so few defaults that the second release is a second count."""
    rng = np.random.default_rng(seed)
    values, known, label = rows(n, rng)
    if few:
        label *= rng.random(n) < 60 / label.sum()
    members = [{"name": "city", "role": "bank"}, {"name": "town", "role": "bank"}]
    members += [{"name": role, "role": "holder"} for role in KNOWN]
    members[2]["display_name"] = "税务局"
    plain = {"name": "small", "purpose": "credit_scoring", "institutions": members}
    study = study_from(plain | {"privacy": {"epsilon": epsilon}})
    features = [
        Feature(
            institution=role,
            column=f"c{k}",
            low=-4.0,
            high=4.0,
            bins=(-1.5, -0.7, 0.0, 0.7, 1.5),
            missing=k == 1,
        )
        for role, effect in EFFECTS.items()
        for k in range(len(effect))
    ]
    plan = make_plan(study, features)
    facts = Facts(study=study, plan=plan, training=n, sampled=n, labelled=n, weighted=False, binary=True)
    bins = card_bins([Bins.public(f) for f in features])
    codes = [_codes(b, values, known, rng) for b in bins]
    counted = [(b, c) for b, c in zip(bins, codes, strict=True) if b.feature.is_column]
    first = facts.counts(bins)
    counts = _noisy(first, _counts(counted, label, study.roles), rng)
    counts = replace(counts, about={"bins": [b.to_dict() for b in bins]})
    found = label_counts(counts, sizes_of(bins, study.roles))
    second = second_release(facts, bins, found, curves_of(found, bins))
    if second.chosen is not None:
        exact = _counts(
            [
                [(b, c) for b, c in counted if b.feature.institution == r][j]
                for r, own in second.chosen.items()
                for j in own
            ],
            label,
            study.roles,
        )
    else:
        exact = _gram(second, bins, codes, study.roles)
    record = ReleaseRecord(
        study=study.model_dump(mode="json"),
        study_digest="0" * 64,
        attempt="small",
        research=research,
        releases=(counts, replace(_noisy(second.release, exact, rng), about=second.about)),
    )
    return record.signed(IdentityKey.generate())


def _codes(b, values, known, rng):
    role = b.feature.institution
    there = known.get(role, np.ones(len(values[BANK]), bool))
    if not b.feature.is_column:
        return np.where(there, 0, 1)
    code = np.searchsorted(b.edges, values[role][:, int(b.feature.column[1:])], side="right")
    if b.feature.missing:
        code[rng.random(len(code)) < 0.1] = b.missing_place
    return np.where(there, code, b.size - 1)


def _counts(counted, label, roles):
    out = {}
    for role in roles:
        own = [
            np.stack([np.bincount(c, w, b.size) for w in (label, 1 - label)], 1)
            for b, c in counted
            if b.feature.institution == role
        ]
        if own:
            out[role] = np.concatenate(own)
    return out


def _gram(second, bins, codes, roles):
    bits = second.release.scale_bits // 2
    shapes, owners = {}, {}
    for role in roles:
        places = [j for j, b in enumerate(bins) if b.feature.institution == role]
        bases = [second.bases[j] for j in places]
        shapes[role] = shape_rows([codes[j] for j in places], bases, second.radii[role], bits) / 2.0**bits
        owners[role] = [j for j, base in zip(places, bases, strict=True) for _ in range(base.shape[1])]
    exact = {}
    for block in second.release.blocks:
        full = shapes[block.left].T @ shapes[block.right]
        if block.left == block.right:
            i, j = own_pairs(owners[block.left])
            full = full[list(i), list(j)]
        exact[block.name] = full
    return exact


def _noisy(release, exact, rng):
    return released_sums(
        release,
        {
            name: exact[name] + rng.normal(size=shape) * np.sqrt(release.variance(name))
            for name, shape in total_shapes(release).items()
        },
    )
