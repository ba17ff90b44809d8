import pytest

from reference_worker.downstream import http, smtp, storage
from reference_worker.downstream.errors import FencedOffError, PermanentDownstreamError, TemporaryDownstreamError
from reference_worker.jobs.send_verification_email import verification_mail
from reference_worker.records.users import User
from tests.reference_worker.conftest import free_port
from tests.reference_worker.services import running_downstream, running_mail_server

MAIL = verification_mail(User(user_id="user-1", email="user-1@customers.example"), language="en")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_an_answer_that_asks_to_come_back_is_temporary(status: int) -> None:
    with running_downstream() as downstream:
        downstream.answers.append(status)
        with pytest.raises(TemporaryDownstreamError):
            http.send("POST", downstream.url, timeout_seconds=1)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 412, 422])
def test_a_refusal_is_permanent(status: int) -> None:
    with running_downstream() as downstream:
        downstream.answers.append(status)
        with pytest.raises(PermanentDownstreamError):
            http.send("POST", downstream.url, timeout_seconds=1)


def test_silence_and_refused_connections_are_temporary() -> None:
    with running_downstream() as downstream:
        downstream.hold = "POST /"
        with pytest.raises(TemporaryDownstreamError):
            http.send("POST", f"{downstream.url}/", timeout_seconds=0.2)
        downstream.let_go.set()
    with pytest.raises(TemporaryDownstreamError):
        http.send("POST", f"http://127.0.0.1:{free_port()}/", timeout_seconds=1)
    with pytest.raises(TemporaryDownstreamError):
        smtp.send(MAIL, url=f"smtp://127.0.0.1:{free_port()}", timeout_seconds=1)


def test_a_mail_server_says_what_is_worth_another_try() -> None:
    with running_mail_server(free_port()) as server:
        server.answers.extend(["451 later", "554 never"])
        with pytest.raises(TemporaryDownstreamError):
            smtp.send(MAIL, url=server.url, timeout_seconds=2)
        with pytest.raises(PermanentDownstreamError):
            smtp.send(MAIL, url=server.url, timeout_seconds=2)
        assert server.mails == []
        smtp.send(MAIL, url=server.url, timeout_seconds=2)
        assert len(server.mails) == 1


def test_a_lower_token_than_the_storage_has_seen_is_fenced_off_even_when_it_only_reads() -> None:
    with running_downstream() as downstream:
        assert not storage.holds("exp-1", token=2, url=downstream.url, timeout_seconds=1)
        with pytest.raises(FencedOffError):
            storage.holds("exp-1", token=1, url=downstream.url, timeout_seconds=1)
        assert not storage.holds("exp-2", token=1, url=downstream.url, timeout_seconds=1)
