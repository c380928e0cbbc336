"""What names say, in several languages."""

import pytest

from fedrisk.data.draft.names import direction, says, valid_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("days_late", "increasing"),
        ("DaysPastDue", "increasing"),
        ("逾期天数", "increasing"),
        ("资产负债", "increasing"),
        ("limit_used", "increasing"),
        ("Tage_im_Verzug", "increasing"),
        ("annual_sales", "decreasing"),
        ("年销售收入", "decreasing"),
        ("Jahresumsatz", "decreasing"),
        ("months_since_default", "decreasing"),
        ("Total debt/Total net worth", "increasing"),
        ("sales_growth", None),
        ("营收增长率", None),
        ("cash_to_debt", None),
        ("Cash/Current Liability", None),
        ("Current Liabilities/Liability", None),
        ("profit_loss", None),
        ("staff_turnover", None),
        ("age", None),
        ("PAY_AMT1", None),
        ("related_firms", None),
        ("latent", None),
    ],
)
def test_directions_only_where_a_name_says_so_plainly(name, expected):
    assert direction(name) == expected


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("LoanNr_ChkDgt", "id"),
        ("统一社会信用代码", "credit_code"),
        ("default.payment.next.month", "outcome"),
        ("是否违约", "outcome"),
        ("MIS_Status", "status"),
        ("SeriousDlqin2yrs", "outcome"),
        ("NAICS", "industry"),
        ("contact_phone", "person"),
        ("联系电话", "person"),
        ("ApprovalFY", "year"),
    ],
)
def test_groups(name, group):
    assert says(name, group)


def test_words_are_compared_whole():
    assert not says("grid", "id")
    assert not says("identity_checks", "age")
    assert not says("average_days", "age")


def test_valid_names_keep_letters_of_any_script():
    assert valid_name("  a  b\n") == "a_b"
    assert valid_name("纳税信用") == "纳税信用"
    assert valid_name("%%%") == "column"
