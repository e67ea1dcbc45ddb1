"""Connections that do not wait for ever, and do not stay with a server that takes no writes."""

import psycopg
import pytest

from db.engine import leaving_read_only, pool, transient


def test_c5_a_server_that_does_not_answer_costs_its_connection_and_no_more(database_url: str) -> None:
    made = pool(database_url, 1, "test", 60)
    try:
        with made.connection(timeout=20) as conn:
            conn.answers_within_s = 0.3  # type: ignore[attr-defined]  # of the pool's own kind
            with pytest.raises(psycopg.OperationalError) as error:
                conn.execute("SELECT pg_sleep(30)")
            assert transient(error.value)
            assert conn.closed
        with made.connection(timeout=20) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)
    finally:
        made.close(2)


def test_a_statement_that_the_server_ends_keeps_its_connection(database_url: str) -> None:
    made = pool(database_url, 1, "test", 0.2)
    try:
        with made.connection(timeout=20) as conn:
            with pytest.raises(psycopg.errors.QueryCanceled):
                conn.execute("SELECT pg_sleep(30)")
            conn.rollback()
            assert not conn.closed
    finally:
        made.close(2)


def test_where_statements_have_their_own_time_nobody_is_cut_off(database_url: str) -> None:
    made = pool(database_url, 1, "test", 0.2, bounded=False)
    try:
        with made.connection(timeout=20) as conn:
            conn.execute("SET LOCAL statement_timeout = '20s'")
            assert conn.execute("SELECT pg_sleep(1.5)").fetchone()
    finally:
        made.close(2)


def test_c15_a_server_that_only_reads_is_left(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("SET default_transaction_read_only = on")
        conn.commit()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as error, leaving_read_only(conn):
            conn.execute("CREATE TABLE never (n int)")
        assert transient(error.value)
        assert conn.closed
