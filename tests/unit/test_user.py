import getpass

from fedrisk.user import user_name


def test_the_name_of_the_login(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "li.wei")
    assert user_name() == "li.wei"


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_name().startswith("user ")
