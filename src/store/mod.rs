//! What the appliance keeps: readings, the audit chain, the outbox. SQLite, durable before an answer is given.
