"""Who takes part in a study, and in which role."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, SerializerFunctionWrapHandler, model_serializer, model_validator

from fedrisk.display_name import checked_display_name
from fedrisk.study_sections import Name, Settings

Role = Literal["bank", "holder", "guarantor", "bureau", "authority", "regulator", "agent"]
DisplayName = Annotated[str, AfterValidator(checked_display_name)]

HOLDING: tuple[Role, ...] = ("holder", "guarantor", "bureau")
"""Roles with features and no labels."""

WITHOUT_TABLE: tuple[Role, ...] = ("authority", "regulator", "agent")
"""Roles that bring no records, and of which none is asked for."""

BANK = "bank"
"""The role name under which all banks' common columns stand; no institution of a study with another role
may be called so."""


class Member(Settings):
    """One institution of the study.

    ``bank`` has labels and features, ``holder`` features only, ``authority`` nothing but the key of the
    pseudonyms; a bank or holder may be the authority as well. ``guarantor`` and ``bureau`` are holders: a guarantee
    company, a credit bureau. ``regulator`` brings nothing: it keeps the key of the pseudonyms where no other member is
    named for that, and else it observes, which is to see who takes part, what all state of themselves, and the signed
    heads of all trails, and to confirm to the others that it was told the same. No features, rows, totals or scores
    ever go to it. ``agent`` acts for enterprises that ask for their own index, and takes part in no study.
    ``optional``: the study goes on without this one where it refuses or is not there.
    ``display_name``: what people read in place of the name, in any script; public as everything in a study.
    """

    name: Name
    role: Role
    optional: bool = False
    display_name: DisplayName | None = None

    @model_validator(mode="after")
    def _no_agent(self) -> "Member":
        if self.role == "agent":
            raise ValueError(
                f"{self.name} is an agent: it asks for enterprises' indices and takes part in no study; leave it out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where there is none, so that studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k != "display_name" or v is not None}
