"""The loan system of tests against a plain HTTP server: what it sends, what it reads, and lost connections."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from sim_institutions.loan_system import LoanSystem, crowd


class Node(BaseHTTPRequestHandler):
    """Scores an id with its number; the first request of a connection may be the last."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list] = []
    ends_connections = False

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.headers["Authorization"], self.headers["Idempotency-Key"], body))
        answers = [
            {"id": e["id"], "code": "" if e["consent"] else "consent_missing"} for e in body["enterprises"]
        ]
        self.reply(200, {"answers": answers})

    def do_GET(self):
        self.reply(404, {"code": "path"})

    def reply(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self.close_connection = self.ends_connections

    def log_message(self, *_):
        pass


@pytest.fixture
def node(tmp_path):
    Node.seen, Node.ends_connections = [], False
    (tmp_path / "token").write_text("secret\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Node) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda: LoanSystem(server.server_port, tmp_path / "token", timeout=10)
        server.shutdown()


def test_a_request_has_the_token_its_key_and_consents_and_answers_come_in_order(node):
    heard = node().ask(["a", "b"], {"a": "token"}, key="k1", purpose="credit_scoring")
    assert heard.status == 200 and heard.codes == ["", "consent_missing"]
    assert [a["id"] for a in heard.answers] == ["a", "b"] and heard.seconds > 0
    ((authorization, key, body),) = Node.seen
    assert (authorization, key, body["purpose"]) == ("Bearer secret", "k1", "credit_scoring")


def test_a_connection_that_was_given_up_is_opened_again_and_a_dead_node_has_a_code(node, tmp_path):
    Node.ends_connections = True
    system = node()
    assert [system.ask(["a"]).status for _ in range(3)] == [200, 200, 200]
    nobody = LoanSystem(1, tmp_path / "token", timeout=1)
    heard = nobody.ask(["a"])
    assert (heard.status, heard.answers) == (0, []) and heard.codes == ["ConnectionRefusedError"]


def test_a_crowd_asks_each_question_once_and_keeps_their_order(node):
    told = []
    questions = [[f"e{k}"] for k in range(40)]
    heard = crowd(node, questions, clients=4, each=lambda number, h: told.append(number))
    assert [h.ids[0] for h in heard] == [q[0] for q in questions]
    assert sorted(told) == list(range(40)) and len(Node.seen) == 40
