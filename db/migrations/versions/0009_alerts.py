"""Alerts with a memory: where each rule stands, episodes and every step of them, what people did, and the notices on their way out.

Plain tables on the coordinator, like everything people do. Times of rules are the evaluation's own, see `charging.alerting`.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_RULE = "text COLLATE \"C\" NOT NULL CHECK (rule IN ('low_efficiency', 'suspect_measurement', 'device_silent', 'battery_hot', 'site_dark'))"
# `ingestion` has one subject, itself: everything is dark.
_KIND = "text COLLATE \"C\" NOT NULL CHECK (subject_kind IN ('vehicle', 'meter', 'site', 'ingestion'))"
_ID = 'text COLLATE "C" NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 64)'
_SEVERITY = "text COLLATE \"C\" CHECK (severity IN ('warning', 'critical'))"
_BY = "CHECK (length({name}) BETWEEN 1 AND 200)"


def upgrade() -> None:
    _episodes()
    _standings()
    _people()
    _notices()


def _episodes() -> None:
    # `held_back_by`: the alert of the dark site, or of everything, that this one is only a consequence of. `notified_severity`: the highest
    # that people were told of, null while they know nothing of it. `evidence` is that of the newest step; every step keeps its own.
    op.execute(f"""
        CREATE TABLE alert_episode (
            episode_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            rule {_RULE},
            subject_kind {_KIND},
            subject_id {_ID},
            site_id text COLLATE "C",
            severity {_SEVERITY} NOT NULL,
            fired_at timestamptz NOT NULL,
            resolved_at timestamptz CHECK (resolved_at >= fired_at),
            resolved_because text CHECK (length(resolved_because) BETWEEN 1 AND 500),
            reason text NOT NULL,
            evidence jsonb NOT NULL,
            held_back_by bigint REFERENCES alert_episode,
            flapping boolean NOT NULL DEFAULT false,
            notified_severity text COLLATE "C" CHECK (notified_severity IN ('warning', 'critical')),
            notified_at timestamptz,
            acknowledged_at timestamptz,
            acknowledged_by text {_BY.format(name="acknowledged_by")},
            acknowledged_note text CHECK (length(acknowledged_note) <= 2000),
            CHECK ((resolved_at IS NULL) = (resolved_because IS NULL)),
            CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
        )""")
    # Two open episodes of one rule and subject cannot be, whatever the code does.
    op.execute("CREATE UNIQUE INDEX alert_episode_one_open ON alert_episode (rule, subject_kind, subject_id) WHERE resolved_at IS NULL")
    op.execute("CREATE INDEX alert_episode_subject ON alert_episode (subject_kind, subject_id, fired_at)")
    op.execute("CREATE INDEX alert_episode_resolved ON alert_episode (resolved_at)")
    op.execute(f"""
        CREATE TABLE alert_transition (
            transition_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            rule {_RULE},
            subject_kind {_KIND},
            subject_id {_ID},
            episode_id bigint REFERENCES alert_episode,
            from_state text COLLATE "C" NOT NULL CHECK (from_state IN ('ok', 'pending', 'firing', 'recovering')),
            to_state text COLLATE "C" NOT NULL CHECK (to_state IN ('ok', 'pending', 'firing', 'recovering')),
            severity {_SEVERITY},
            reason text NOT NULL,
            evidence jsonb NOT NULL
        )""")
    op.execute("CREATE INDEX alert_transition_subject ON alert_transition (subject_kind, subject_id, transition_id)")
    op.execute("CREATE INDEX alert_transition_episode ON alert_transition (episode_id, transition_id)")
    _only_grows("alert_transition")


def _standings() -> None:
    # Where a rule stands for a subject that is not simply fine; a row goes when all is well again. `held_s` is how long valid evaluations
    # have agreed, `nothing_s` how long there was no evidence. `seen` is the newest evidence that counted.
    op.execute(f"""
        CREATE TABLE alert_standing (
            rule {_RULE},
            subject_kind {_KIND},
            subject_id {_ID},
            state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'firing', 'recovering')),
            since timestamptz NOT NULL,
            held_s double precision NOT NULL CHECK (held_s >= 0),
            nothing_s double precision NOT NULL CHECK (nothing_s >= 0),
            seen timestamptz,
            episode_id bigint REFERENCES alert_episode,
            PRIMARY KEY (rule, subject_kind, subject_id),
            CHECK ((episode_id IS NULL) = (state = 'pending'))
        )""")
    # The newest evaluation: `wall_at` is the server's clock then, `evaluated_to` the instant up to which readings counted.
    op.execute("""
        CREATE TABLE alert_evaluation (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            wall_at timestamptz,
            evaluated_to timestamptz,
            took_ms integer,
            subjects integer,
            failed_at timestamptz,
            error text CHECK (length(error) <= 500)
        )""")
    op.execute("INSERT INTO alert_evaluation DEFAULT VALUES")


def _people() -> None:
    # A null matches everything: a silence without any matches every alert.
    op.execute(f"""
        CREATE TABLE alert_silence (
            silence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            rule text COLLATE "C",
            subject_kind text COLLATE "C",
            subject_id text COLLATE "C",
            site_id text COLLATE "C",
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
            reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
            created_at timestamptz NOT NULL,
            created_by text NOT NULL {_BY.format(name="created_by")},
            ended_at timestamptz,
            ended_by text {_BY.format(name="ended_by")},
            CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
            CHECK ((subject_kind IS NULL) = (subject_id IS NULL))
        )""")
    op.execute("CREATE INDEX alert_silence_ends ON alert_silence (ends_at)")
    # What holds beside the defaults; keys and bounds are those of `charging.alert_settings`. For everything, a site or one device.
    op.execute(f"""
        CREATE TABLE alert_setting (
            rule {_RULE},
            scope_kind text COLLATE "C" NOT NULL CHECK (scope_kind IN ('all', 'site', 'vehicle', 'meter')),
            scope_id text COLLATE "C" NOT NULL CHECK ((scope_kind = 'all') = (scope_id = '')),
            settings jsonb NOT NULL,
            changed_at timestamptz NOT NULL,
            changed_by text NOT NULL {_BY.format(name="changed_by")},
            PRIMARY KEY (rule, scope_kind, scope_id)
        )""")
    # Who did what: acknowledged, silenced, changed a threshold or a channel. `before` and `after` where something was changed.
    op.execute(f"""
        CREATE TABLE alert_action (
            action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            by text NOT NULL {_BY.format(name="by")},
            action text COLLATE "C" NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
            episode_id bigint REFERENCES alert_episode,
            silence_id bigint REFERENCES alert_silence,
            subject text CHECK (length(subject) <= 200),
            note text CHECK (length(note) <= 2000),
            before jsonb,
            after jsonb
        )""")
    op.execute("CREATE INDEX alert_action_episode ON alert_action (episode_id, action_id)")
    _only_grows("alert_action")


def _notices() -> None:
    # `address` and `secret` are what the channel needs to be reached; neither is ever shown or logged whole.
    op.execute(f"""
        CREATE TABLE notice_channel (
            channel_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
            kind text COLLATE "C" NOT NULL CHECK (kind IN ('webhook', 'email', 'apprise')),
            address text NOT NULL CHECK (length(address) BETWEEN 1 AND 2000),
            secret text CHECK (length(secret) <= 500),
            enabled boolean NOT NULL DEFAULT true,
            least_severity text COLLATE "C" NOT NULL DEFAULT 'warning' CHECK (least_severity IN ('warning', 'critical')),
            digest_at time,
            digest_zone text NOT NULL DEFAULT 'UTC',
            created_at timestamptz NOT NULL,
            created_by text NOT NULL {_BY.format(name="created_by")},
            deleted_at timestamptz
        )""")
    op.execute("CREATE UNIQUE INDEX notice_channel_name ON notice_channel (name) WHERE deleted_at IS NULL")
    # The outbox: written with the step it tells of, sent at least once. `claimed_until`: somebody is at it; after that he is taken for dead.
    # `last_error` stays when a later try succeeds: it says why the notice was late. `tried_at` is the newest try.
    op.execute("""
        CREATE TABLE notice (
            notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            idempotency_key text COLLATE "C" NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 200),
            channel_id bigint NOT NULL REFERENCES notice_channel,
            kind text COLLATE "C" NOT NULL CHECK (kind IN ('firing', 'escalated', 'resolved', 'flapping', 'digest', 'test')),
            episode_id bigint REFERENCES alert_episode,
            body jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            next_try_at timestamptz NOT NULL,
            tries integer NOT NULL DEFAULT 0,
            claimed_until timestamptz,
            tried_at timestamptz,
            sent_at timestamptz,
            gave_up_at timestamptz,
            last_error text CHECK (length(last_error) <= 500),
            CHECK (sent_at IS NULL OR gave_up_at IS NULL)
        )""")
    op.execute("CREATE INDEX notice_waiting ON notice (channel_id, next_try_at, notice_id) WHERE sent_at IS NULL AND gave_up_at IS NULL")
    op.execute("CREATE INDEX notice_episode ON notice (episode_id)")
    op.execute("CREATE INDEX notice_of_channel ON notice (channel_id, notice_id)")
    op.execute("CREATE INDEX notice_failed ON notice (channel_id, notice_id) WHERE last_error IS NOT NULL")


def _only_grows(table: str) -> None:
    op.execute(f"""
        CREATE FUNCTION refuse_changing_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{table} is a record: rows are added, never changed or deleted';
        END $$""")
    op.execute(f"""
        CREATE TRIGGER refuse_changing_{table} BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_changing_{table}()""")


def downgrade() -> None:
    raise NotImplementedError("history is permanent: restore a backup instead of going back")
