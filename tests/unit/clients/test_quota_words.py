"""What is said where more ids are to be evaluated than were agreed."""

from pathlib import Path

from fedrisk.clients.quota_words import refused
from fedrisk.errors import QuotaError

ERROR = QuotaError("30 evaluations were requested, but 7 of 37 are left", count=30, agreed=37, used=30)


def test_the_command_that_helps_stands_in_the_text():
    told = refused(ERROR, name="bank", authority="tax", epoch="1", file=Path("/a b/tax.toml"))
    assert str(ERROR) in str(told)
    assert str(told).endswith("fedrisk quota '/a b/tax.toml' bank --size 60")
    assert (told.code, told.count, told.agreed, told.used) == ("quota", 30, 37, 30)


def test_another_epoch_is_named():
    told = refused(ERROR, name="bank", authority="tax", epoch="2026", file=None)
    assert str(told).endswith("fedrisk quota tax.toml bank --epoch 2026 --size 60")
