"""What a validation has to look at that no figure shows, with the requirements it belongs to, by their names."""

from dataclasses import dataclass

from fedrisk.language import _


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """One thing to do by hand. task: what; here: what fedrisk has to it. us, eu, china: names of requirements."""

    task: str
    here: str
    us: str
    eu: str
    china: str


def checklist() -> list[ByHand]:
    """All of them, in the order in which a validator takes them."""
    return [*_model(), *_data(), *_use()]


def _model() -> list[ByHand]:
    return [
        ByHand(
            task=_("Purpose, population and definition of default, the same at all banks of the study"),
            here=_("the study file, and the horizon and selection that each bank states; the model card"),
            us=_("conceptual soundness"),
            eu=_("definition of default; scope of the rating system"),
            china=_("purpose and scope of a risk model"),
        ),
        ByHand(
            task=_("Whether columns and directions make economic sense, and what was left out"),
            here=_("points and directions of each column in the scorecard; the bank's report"),
            us=_("conceptual soundness; effective challenge"),
            eu=_("risk drivers; human judgement in model development"),
            china=_("development and testing of a risk model"),
        ),
        ByHand(
            task=_("A long-run average default rate over good and bad years"),
            here=_("one window alone is in the data; fedrisk card edit sets a long-run rate"),
            us=_("outcomes analysis"),
            eu=_("calibration to the long-run average default rate (CRR article 180)"),
            china=_("continuous monitoring of risk models"),
        ),
        ByHand(
            task=_("Defaults that come together"),
            here=_(
                "the tests take defaults as independent; a bad year makes more of them than chance would. Bounds can "
                "take a correlation: [low_default] correlation"
            ),
            us=_("outcomes analysis; limits of the tests"),
            eu=_("dispersion of default rates in the general estimation error"),
            china=_("stress tests of a risk model"),
        ),
        ByHand(
            task=_("Margins for data and methods (category A) and for changes (category B)"),
            here=_("set by a person: [conservatism] data and changes; 0 where nobody did"),
            us=_("model limitations and conservatism"),
            eu=_("margin of conservatism (CRR article 179)"),
            china=_("prudent management of model risk"),
        ),
    ]


def _data() -> list[ByHand]:
    return [
        ByHand(
            task=_("Quality of the bank's own data, and of the data holders', which nobody at the bank sees"),
            here=_("fedrisk check of each institution's file; ask holders for theirs"),
            us=_("data quality; use of external data and vendors"),
            eu=_("data quality and its governance"),
            china=_("quality and lawful source of risk data"),
        ),
        ByHand(
            task=_("Customers who were refused: labels exist for granted loans alone"),
            here=_("the selection that banks state; no test here sees the refused"),
            us=_("conceptual soundness; limits of the data"),
            eu=_("representativeness of data"),
            china=_("representativeness of risk data"),
        ),
        ByHand(
            task=_("Consent, purpose and protection of data"),
            here=_("policy files, audit trail, data-protection report of each holder"),
            us=_("compliance"),
            eu=_("data protection law"),
            china=_("consent to use data; protection of personal information"),
        ),
    ]


def _use() -> list[ByHand]:
    return [
        ByHand(
            task=_("Whether the card in the bank's system scores as the card that was validated"),
            here=_("digest of the card; exports of fedrisk card export are tested against it"),
            us=_("implementation and process verification"),
            eu=_("implementation of the rating system; validation (CRR article 185)"),
            china=_("testing before a risk model is put to use"),
        ),
        ByHand(
            task=_("How people may override a grade, and why they did"),
            here=_("rates in this pack where the bank gives them; reasons are in its own files"),
            us=_("overrides in outcomes analysis"),
            eu=_("overrides (CRR article 172)"),
            china=_("review by people of what a model decides"),
        ),
        ByHand(
            task=_("Independence of validation, approval, changes, and the way out"),
            here=_("approvals of each run in the audit trail; nothing of the bank's own committees"),
            us=_("governance, policies and controls"),
            eu=_("governance; validation function"),
            china=_("independent review; approval, monitoring and withdrawal of risk models"),
        ),
        ByHand(
            task=_("Own risk control: the decision stays with the bank, whatever a consortium computes"),
            here=_("scores are advice; limits, approvals and contracts are the bank's"),
            us=_("vendor and third-party models"),
            eu=_("outsourcing; use test"),
            china=_("core risk control is not given to third parties"),
        ),
        ByHand(
            task=_("Fairness towards sectors, counties and sizes"),
            here=_("the model card, where the study released counts for it"),
            us=_("fair lending"),
            eu=_("non-discrimination; automated decisions"),
            china=_("protection of consumers"),
        ),
    ]
