-- What service_user owns, beside its outbox (which `outboxd migrate` creates).

CREATE TABLE users (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL,
    version int  NOT NULL DEFAULT 1  -- counts the events about this user: 1 created, 2 renamed, …
);

CREATE TABLE cards (
    id      bigint PRIMARY KEY,      -- the number that service_card gave it
    user_id bigint NOT NULL UNIQUE REFERENCES users
);

-- Every message that was handled. A redelivery finds its message_id here and changes nothing else.
CREATE TABLE inbox (
    message_id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    duplicates int NOT NULL DEFAULT 0
);
