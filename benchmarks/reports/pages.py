"""How long reports of a study with 17 banks take, and how large they are.

The operator's report is of a finished study's results, with its banks repeated until there are 17 (their facts, spends,
bytes and disclosures; released sums are of all banks together and do not grow with them). The bank's and the holder's
report are of their own stores, which do not grow either. Run after a demo study, with its FEDRISK_HOME:

    FEDRISK_HOME=demo/home python benchmarks/reports/pages.py demo
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

from fedrisk.cli.results import reason_words
from fedrisk.clients import own_results
from fedrisk.clients.member_study import last_attempt, member_study
from fedrisk.clients.node import Node
from fedrisk.clients.own_rows import own_rows
from fedrisk.language import speaking
from fedrisk.report.bank import bank_page
from fedrisk.report.holder import holder_page
from fedrisk.report.html import render
from fedrisk.server.results import Results

BANKS = 17


def with_banks(results, number):
    """Results with so many banks, the first ones repeated."""
    own = [name for name, i in results.institutions.items() if i.role == "bank"]
    names = {f"bank_{k + 1:02d}": own[k % len(own)] for k in range(number)}
    others = [name for name in results.institutions if name not in own]

    def keyed(table):
        return {
            **{new: table[old] for new, old in names.items()},
            **{n: table[n] for n in others if n in table},
        }

    def lines(found, field, change):
        kept = [x for x in found if field(x) in others]
        return tuple(change(x, new) for new, old in names.items() for x in found if field(x) == old) + tuple(
            kept
        )

    def spread(line):
        """What went to one of the first banks goes to each that repeats it."""
        to = [new for new, old in names.items() if old == line.counterparty] or [line.counterparty]
        return [replace(line, counterparty=name) for name in to]

    disclosed = lines(results.disclosures, lambda d: d.institution, lambda d, n: replace(d, institution=n))
    return replace(
        results,
        rows=replace(
            results.rows, training=keyed(results.rows.training), holdout=keyed(results.rows.holdout)
        ),
        institutions=keyed(results.institutions),
        bytes_sent=keyed(results.bytes_sent),
        bytes_received=keyed(results.bytes_received),
        spends=lines(results.spends, lambda s: s["institution"], lambda s, n: {**s, "institution": n}),
        disclosures=tuple(e for d in disclosed for e in spread(d)),
    )


def measured(make):
    """Seconds of the clock and of the processor, and bytes of a page; in a fresh process the first one loads libraries."""
    begun, worked = time.perf_counter(), time.process_time()
    page = make()
    return {
        "seconds": round(time.perf_counter() - begun, 2),
        "processor_seconds": round(time.process_time() - worked, 2),
        "bytes": len(page.encode()),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pages.json")
    given = parser.parse_args()
    results = with_banks(Results.load(given.folder / "results"), BANKS)
    bank, holder = (
        Node.load(given.folder / "institutions" / f"{name}.toml") for name in ("city_bank", "tax_office")
    )
    found = {
        "machine": {
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "system": platform.system(),
        },
        "banks": BANKS,
        "disclosures": len(results.disclosures),
    }
    with speaking("zh"):
        found["operator"] = measured(lambda: render(results))
        found["bank"] = measured(
            lambda: bank_page(own_rows(bank, own_results.find(bank, None), reason_words()))
        )
        found["holder"] = measured(lambda: holder_page(member_study(holder, last_attempt(holder, None))))
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
