-- What service_card owns, beside its outbox (which `outboxd migrate` creates).

-- Its copy of the users: as new as the newest event it has heard.
CREATE TABLE users (
    id      bigint PRIMARY KEY,
    name    text NOT NULL,
    version int  NOT NULL
);

CREATE TABLE cards (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL UNIQUE REFERENCES users
);

-- What it heard about each user, in the order in which it heard it.
CREATE TABLE user_history (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id  bigint NOT NULL,
    version  int    NOT NULL,
    name     text   NOT NULL
);

-- Every message that was handled. A redelivery finds its message_id here and changes nothing else.
CREATE TABLE inbox (
    message_id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    duplicates int NOT NULL DEFAULT 0
);
