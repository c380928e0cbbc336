"""What a network is held against: a DP logistic regression and the scorecard, on the same rows."""

from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.study import Study
from fedrisk.study_sections import Training


def baselines(study: Study) -> dict[str, Study]:
    """Studies to run for comparison, by heading; none with an external score, which they could not use."""
    settings = NetworkSettings.of(study)
    if settings.external is not None:
        return {}
    found = {}
    if settings.kind != "logistic":
        logistic = NetworkSettings(kind="logistic").model_dump(mode="json")
        found["DP logistic regression"] = study.model_copy(
            update={"name": f"{study.name[:38]}_logistic", "settings": logistic}
        )
    plain = {"name": f"{study.name[:37]}_scorecard", "recipe": "scorecard", "training": Training()}
    settings_of_card = ScorecardSettings().model_dump(mode="json")
    found["scorecard"] = study.model_copy(update={**plain, "settings": settings_of_card})
    return found
