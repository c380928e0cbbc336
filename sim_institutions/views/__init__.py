"""What institutions observe of a block, one function per kind of institution."""

from sim_institutions.views.banks import bank
from sim_institutions.views.companies import (
    bureau_conduct,
    bureau_supply,
    bureau_utilities,
    fintech_online,
    fintech_payments,
    guarantor,
)
from sim_institutions.views.departments import (
    court,
    environment_agency,
    power_utility,
    registry,
    social_insurance,
    tax_office,
)

__all__ = [
    "bank",
    "bureau_conduct",
    "bureau_supply",
    "bureau_utilities",
    "court",
    "environment_agency",
    "fintech_online",
    "fintech_payments",
    "guarantor",
    "power_utility",
    "registry",
    "social_insurance",
    "tax_office",
]
